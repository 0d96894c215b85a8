import dataclasses
import errno
import gc
import hashlib
import http.client
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconflow.errors import Cancelled, ConfigError, WeightsError
from reconflow.nets import weights as module
from reconflow.nets.catalogue import WEIGHTS, Weights, WeightsFile, weights_named
from reconflow.nets.download import download
from reconflow.nets.file_lock import taking_turns
from reconflow.nets.weights import (
    absence,
    cache_folder,
    expected_sha256,
    find_weights,
    obtain_all,
    obtain_weights,
    refuse_out_of_reach,
    weights_fingerprint,
)

CONTENT = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A weights folder and a cache of the test's own."""
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECONFLOW_OFFLINE", raising=False)
    monkeypatch.setattr(module, "_told", set())
    (tmp_path / "mine").mkdir()
    return tmp_path


def _lock(path):
    return path.with_name(f".{path.name}.lock")


def entry(url: str = "", *, sha256: str = DIGEST, restricted: bool = False) -> Weights:
    file = WeightsFile("model.pth", sha256, url)
    return Weights("model", (file,), "BSD-3-Clause", "https://example.org/model", 1.2, restricted=restricted)


def test_the_folder_counts_before_the_cache_and_its_sub_folders_too(places):
    in_cache = cache_folder() / "model.pth"
    in_cache.parent.mkdir(parents=True)
    in_cache.write_bytes(b"cached")
    assert find_weights(entry())[0] == in_cache
    mine = places / "mine" / "models" / "model.pth"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert find_weights(entry())[0] == mine
    assert absence(entry()) == ""


def test_the_folder_counts_before_the_cache_whatever_the_files_are_called(places):
    first, second = WeightsFile("model.pth", "", ""), WeightsFile("older.pth", "", "")
    either = dataclasses.replace(entry(), files=(first, second))
    cache_folder().mkdir(parents=True)
    (cache_folder() / "model.pth").write_bytes(b"cached")
    (places / "mine" / "older.pth").write_bytes(b"mine")
    assert find_weights(either) == (places / "mine" / "older.pth", second)


def test_links_to_folders_are_followed(places):
    (places / "elsewhere").mkdir()
    (places / "elsewhere" / "model.pth").write_bytes(b"linked")
    (places / "mine" / "models").symlink_to(places / "elsewhere")
    (places / "elsewhere" / "back").symlink_to(places / "mine")
    (places / "mine" / "model.pth").symlink_to(places / "nowhere")
    assert find_weights(entry())[0].read_bytes() == b"linked"


def test_a_safetensors_twin_counts(places):
    twin = places / "mine" / "model.safetensors"
    twin.write_bytes(b"x")
    path, file = find_weights(entry())
    assert path == twin
    assert file.sha256 == ""


def test_what_is_missing_is_fetched_once_with_progress_and_its_licence(places, server):
    server.give("/model.pth", CONTENT)
    progress, said = [], []
    weights = entry(server.url("/model.pth"))
    path = obtain_weights(weights, on_progress=lambda *step: progress.append(step), tell=said.append)
    assert path == cache_folder() / "model.pth"
    assert path.read_bytes() == CONTENT
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert len(said) == 1
    assert "BSD-3-Clause" in said[0]
    assert obtain_weights(weights, tell=said.append) == path
    assert (server.asked, len(said)) == (["/model.pth"], 1)


def test_threads_and_processes_that_want_the_same_file_fetch_it_once(places, server):
    server.give("/model.pth", CONTENT)
    path, url = cache_folder() / "model.pth", server.url("/model.pth")
    code = "import sys, pathlib, reconflow.nets.download as d; d.download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    waits, heard = [], threading.Event()

    def wait(*step):
        waits.append(step)
        heard.set()

    path.parent.mkdir(parents=True)
    with ThreadPoolExecutor(3) as threads, taking_turns(_lock(path), waiting=list):
        others = [subprocess.Popen([sys.executable, "-c", code, url, str(path)]) for _ in range(2)]
        gotten = [threads.submit(download, url, path, on_progress=wait) for _ in range(3)]
        assert heard.wait(20)
        assert server.asked == []
    assert [one.result() for one in gotten] == [path] * 3
    assert [other.wait(60) for other in others] == [0, 0]
    assert server.asked == ["/model.pth"]
    assert waits[0] == (0, 0)
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.pth", "model.pth.sha256"]


def test_who_waits_for_a_download_of_others_can_end_that(places, server):
    def stop(done, total):
        raise Cancelled("enough")

    path = cache_folder() / "model.pth"
    path.parent.mkdir(parents=True)
    with taking_turns(_lock(path), waiting=list), pytest.raises(Cancelled):
        download(server.url("/model.pth"), path, on_progress=stop)
    assert list(path.parent.iterdir()) == []


def test_the_digest_of_a_first_download_is_kept_beside_it(places, server):
    server.give("/model.pth", CONTENT)
    path = obtain_weights(entry(server.url("/model.pth"), sha256=""))
    assert path.with_name("model.pth.sha256").read_text() == f"{DIGEST}  model.pth\n"
    assert expected_sha256(*find_weights(entry(sha256=""))) == DIGEST
    path.with_name("model.pth.sha256").unlink()
    assert expected_sha256(*find_weights(entry(sha256=""))) == ""


def test_whoever_hears_the_progress_can_end_it(places, server):
    def stop(done, total):
        raise Cancelled("enough")

    server.give("/model.pth", CONTENT)
    with pytest.raises(Cancelled):
        obtain_weights(entry(server.url("/model.pth")), on_progress=stop)
    assert not [path for path in places.rglob("*") if path.is_file()]


# urllib leaves the socket of a server that hangs up without an answer to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("truncated", "broke off"),
        ("other", "other bytes"),
        ("missing", "404"),
        ("silent", "broke off|cannot be reached"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_says_what_to_do(places, server, fault, words):
    server.give("/model.pth", CONTENT, fault=fault)
    with pytest.raises(WeightsError, match=words) as caught:
        obtain_weights(entry(server.url("/model.pth")))
    for part in ("model.pth", "https://example.org/model", str(places / "mine")):
        assert part in caught.value.message
    assert not [path for path in places.rglob("*") if path.is_file()]
    del caught
    gc.collect()  # here, and not in the middle of another test


def test_a_line_that_fails_is_not_told_as_a_disk(places, server, monkeypatch):
    def lost(*_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    server.give("/model.pth", CONTENT)
    monkeypatch.setattr(http.client.HTTPResponse, "read", lost)
    with pytest.raises(WeightsError, match=r"broke off: .*No route to host"):
        obtain_weights(entry(server.url("/model.pth")))


def test_nobody_there_is_one_helpful_sentence(places, free_port):
    with pytest.raises(WeightsError, match="cannot be reached"):
        obtain_weights(entry(f"http://127.0.0.1:{free_port}/model.pth"))


def test_offline_asks_nobody(server, monkeypatch):
    monkeypatch.setenv("RECONFLOW_OFFLINE", "1")
    with pytest.raises(WeightsError, match="RECONFLOW_OFFLINE is set"):
        obtain_weights(entry(server.url("/model.pth")))
    assert server.asked == []


def named(name: str, url: str) -> Weights:
    return dataclasses.replace(entry(url), name=name, files=(WeightsFile(f"{name}.pth", DIGEST, url),))


def test_what_is_wanted_together_is_fetched_one_after_the_other(places, server):
    for name in ("one", "two"):
        server.give(f"/{name}.pth", CONTENT)
    obtain_all([named("one", server.url("/one.pth")), named("two", server.url("/two.pth"))], next_best="less")
    assert server.asked == ["/one.pth", "/two.pth"]


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_is_fetched_in_vain_and_all_that_is_missing_is_named(places, server, order):
    together = [named("one", server.url("/one.pth")), named("two", "")][::order]
    with pytest.raises(WeightsError) as refused:
        obtain_all(together, next_best="`sift`")
    assert server.asked == []
    for words in (
        "one.pth",
        "reconflow weights fetch one",
        "two.pth",
        "there is no address",
        "`sift` is the next best",
    ):
        assert words in str(refused.value)


def test_after_a_download_that_fails_the_others_are_named_and_not_fetched(places, server, free_port):
    away, there = named("away", f"http://127.0.0.1:{free_port}/away.pth"), named("there", server.url("/there.pth"))
    refuse_out_of_reach([away, there], next_best="`sift`")  # an address may be tried
    with pytest.raises(WeightsError, match=r"away\.pth.*there\.pth.*`sift` is the next best"):
        obtain_all([away, there], next_best="`sift`")
    assert server.asked == []


def test_a_restricted_licence_is_told_even_of_a_file_that_is_here_but_once(places):
    (places / "mine" / "model.pth").write_bytes(b"x")
    said = []
    for _ in range(2):
        obtain_weights(entry(restricted=True), tell=said.append)
    assert len(said) == 1
    obtain_weights(dataclasses.replace(entry(), name="free"), tell=said.append)
    assert len(said) == 1


def test_a_changed_file_has_another_fingerprint(places):
    path = places / "mine" / "model.pth"
    path.write_bytes(CONTENT)
    assert weights_fingerprint(entry()) == DIGEST[:16]
    path.write_bytes(CONTENT + b"x")
    assert weights_fingerprint(entry()) != DIGEST[:16]


def test_every_entry_says_whose_it_is_and_can_be_had():
    for name, weights in WEIGHTS.items():
        assert weights.name == name
        assert weights.licence
        assert weights.source.startswith("https://")
        assert any(file.url for file in weights.files)
        for file in weights.files:
            assert file.url == "" or file.url.startswith("https://")
            assert len(file.sha256) in (0, 64)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="unknown weights 'alike': choose one of aliked-t16"):
        weights_named("alike")


def test_entries_travel(places):
    assert pickle.loads(pickle.dumps(WEIGHTS["mast3r"])) == WEIGHTS["mast3r"]


@pytest.mark.quality
def test_the_files_at_hand_are_the_expected_ones(weights, monkeypatch):
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(weights))
    found = [find_weights(entry) for entry in WEIGHTS.values()]
    checked = [(module.sha256_of(path), file.sha256) for path, file in filter(None, found) if file.sha256]
    assert checked
    assert all(have == want for have, want in checked)
