"""``reconflow weights`` beside a real file server."""

import hashlib

import pytest

from reconflow.cli import main
from reconflow.nets import weights as module
from reconflow.nets.catalogue import WEIGHTS, Weights, WeightsFile

CONTENT = bytes(range(256)) * 8000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def said(monkeypatch, tmp_path, server, capsys):
    """Runs the command with two sets of weights: ``known`` by its digest, and ``new``, of which none is known."""
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECONFLOW_OFFLINE", raising=False)
    monkeypatch.setattr(module, "_told", set())
    for name, digest in (("known", DIGEST), ("new", "")):
        server.give(f"/{name}.pth", CONTENT)
        file = WeightsFile(f"{name}.pth", digest, server.url(f"/{name}.pth"))
        monkeypatch.setitem(WEIGHTS, name, Weights(name, (file,), "MIT", f"https://example.org/{name}", 2.0))

    def run(*arguments):
        code = main(["weights", *arguments])
        out, err = capsys.readouterr()
        return code, " ".join((out + err).split())

    return run


def test_list_tells_what_is_here_and_where_the_rest_is(said, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "known.pth").write_bytes(CONTENT)
    code, told = said("list", "known", "new")
    assert code == 0
    assert "not here: https://example.org/new" in told
    assert "not here: https://example.org/known" not in told


def test_list_keeps_paths_whole_however_long_they_are(said, tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    (deep / "known.pth").write_bytes(CONTENT)
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(deep))
    assert str(deep / "known.pth") in said("list", "known")[1]


def test_fetch_gets_what_is_named_and_tells_its_licence(said, tmp_path):
    code, told = said("fetch", "known")
    assert code == 0
    assert "licensed by their authors: MIT" in told
    assert (tmp_path / "cache" / "weights" / "known.pth").read_bytes() == CONTENT


def test_fetch_without_a_name_asks_for_one(said, server):
    code, told = said("fetch")
    assert (code, server.asked) == (2, [])
    assert "say which weights to fetch" in told


@pytest.mark.parametrize(("name", "word"), [("known", "as expected"), ("new", "as first fetched")])
def test_verify_compares_with_the_known_digest_or_with_the_first_download(said, tmp_path, name, word):
    said("fetch", name)
    assert said("verify", name) == (0, f"✓ {name} {word}: {DIGEST} {tmp_path}/cache/weights/{name}.pth")
    (tmp_path / "cache" / "weights" / f"{name}.pth").write_bytes(CONTENT + b"x")
    code, told = said("verify")
    assert code == 1
    assert f"✗ {name} not {word}" in told


def test_verify_shows_paths_as_they_are(said, tmp_path, monkeypatch):
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path / "w[red]3[" / "x]"))
    (tmp_path / "w[red]3[" / "x]").mkdir(parents=True)
    (tmp_path / "w[red]3[" / "x]" / "known.pth").write_bytes(CONTENT)
    assert said("verify", "known")[1].endswith("w[red]3[/x]/known.pth")


def test_verify_says_when_no_digest_is_known(said, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "new.pth").write_bytes(CONTENT)
    code, told = said("verify", "new")
    assert code == 0
    assert "SHA-256 not known" in told


def test_verify_says_what_is_not_here(said):
    code, told = said("verify", "new")
    assert code == 2
    assert "the weights new are not here" in told
    assert "https://example.org/new" in told
    code, told = said("verify")
    assert code == 2
    assert "no weights are here" in told


def test_an_unknown_name_is_refused(said):
    code, told = said("verify", "alike")
    assert code == 2
    assert "unknown weights 'alike'" in told
