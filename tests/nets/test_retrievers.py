import pytest

from reconflow.config import ShortlistConfig
from reconflow.errors import ConfigError
from reconflow.nets.catalogue import WEIGHTS
from reconflow.nets.registry import ENCODERS
from reconflow.nets.retrievers import (
    RETRIEVERS,
    encoders_of_retrieval,
    parse_retrievers,
    retrievers,
    why_retrieval_unusable,
)


def test_the_default_needs_nothing():
    assert encoders_of_retrieval(parse_retrievers(ShortlistConfig().retrieval)) == ()
    assert why_retrieval_unusable(ShortlistConfig().retrieval) == ""


def test_every_encoder_can_rank_photos_and_its_weights_are_known():
    assert set(RETRIEVERS) == {"vlad", *ENCODERS}
    assert {entry.weights for entry in ENCODERS.values()} <= set(WEIGHTS)


@pytest.mark.parametrize("text", ["", "vlad,", "netvlad"])
def test_an_unknown_name_lists_the_known_ones(text):
    with pytest.raises(
        ConfigError, match=r"shortlist\.retrieval: unknown retriever '.*': choose from vlad, mast3r, din"
    ):
        parse_retrievers(text)


def test_a_name_counts_once():
    assert parse_retrievers("mast3r, vlad,mast3r") == ("mast3r", "vlad")


def test_which_can_run_is_told_and_what_the_others_lack(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "dinov2_vits14_pretrain.pth").write_bytes(b"weights")
    told = {one.name: one.reason for one in retrievers()}
    assert [name for name, reason in told.items() if not reason] == ["vlad", "dinov2-vits14"]
    assert "get dinov2_vitb14_pretrain.pth from https://github.com/facebookresearch/dinov2" in told["dinov2-vitb14"]
    assert why_retrieval_unusable("vlad,dinov2-vitb14") == told["dinov2-vitb14"]


def test_without_torch_networks_say_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'reconflow[learned]'" in why_retrieval_unusable("dinov2-vits14")
