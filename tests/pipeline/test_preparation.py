"""What a run settles before its first task."""

import shutil

import pytest

pytest.importorskip("torch")

from reconflow.config import load_config
from reconflow.nets.weights import weights_named
from reconflow.pipeline.cluster import Placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.events import ignore
from reconflow.pipeline.preparation import prepare
from reconflow.store.root import open_root


def placed(**learned):
    return Placement(compute={"CPU": 1}, slots=2, learned=learned, learned_slots=2, mapper=1, mapper_threads=1)


@pytest.fixture
def prepared(small_weights, tmp_path, monkeypatch):
    """Prepares runs on GPUs, or on cores, with a small MASt3R at hand."""
    shutil.copy(small_weights, tmp_path / weights_named("mast3r").files[0].name)
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))

    def make(where, *overrides):
        config = load_config(overrides=overrides)
        return prepare(open_root(tmp_path / "store"), config, RunLine("r"), where=where, tell=ignore)

    return make


def test_what_gpus_make_in_bfloat16_is_not_kept_as_what_cores_make_in_float32(prepared):
    gpus, cores = (prepared(placed(**{kind: 1}), "match.matcher=mast3r_hybrid") for kind in ("GPU", "CPU"))
    assert (gpus.config.match.precision, cores.config.match.precision) == ("bf16", "fp32")
    assert gpus.encodings != cores.encodings
    assert gpus.geometries != cores.geometries
    assert gpus.features == cores.features


def test_a_precision_that_is_named_is_kept_everywhere(prepared):
    names = "match.matcher=mast3r", "match.precision=fp16"
    gpus, cores = (prepared(placed(**{kind: 1}), *names) for kind in ("GPU", "CPU"))
    assert gpus.encodings == cores.encodings
    assert gpus.geometries == cores.geometries


def test_what_no_network_of_that_precision_made_is_shared(prepared):
    gpus, cores = (prepared(placed(**{kind: 1})) for kind in ("GPU", "CPU"))
    assert gpus.geometries == cores.geometries
