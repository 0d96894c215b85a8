"""What a run settles before its first task."""

import dataclasses
import shutil

import msgspec
import pytest
import tomli_w

pytest.importorskip("torch")

from reconflow.config import config_to_tree, load_config
from reconflow.errors import Cancelled, ConfigError, WeightsError
from reconflow.nets.catalogue import WEIGHTS, weights_named
from reconflow.nets.registry import ACCEPTANCE_INLIERS
from reconflow.pipeline import matching
from reconflow.pipeline.cluster import Placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.events import Notice, StageAdvanced, StageFinished, StageStarted, ignore
from reconflow.pipeline.preparation import prepare, replaced_settings, settle
from reconflow.store.root import open_root


def placed(**learned):
    return Placement(
        compute={"CPU": 1},
        slots=2,
        learned=learned,
        learned_slots=2,
        mapper=1,
        mapper_threads=1,
        precision="bf16" if "GPU" in learned else "fp32",
    )


@pytest.fixture
def prepared(small_weights, dinov2_weights, tmp_path, monkeypatch):
    """Prepares runs on GPUs, or on cores, with a small MASt3R and a small DINOv2 at hand."""
    shutil.copy(small_weights, tmp_path / weights_named("mast3r").files[0].name)
    shutil.copy(dinov2_weights, tmp_path)
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RECONFLOW_OFFLINE", "1")

    def make(where, *overrides, **options):
        told = {"tell": ignore, "photos": 3} | options
        config = settle(load_config(overrides=overrides), where=where, tell=told["tell"])
        return prepare(open_root(tmp_path / "store"), config, RunLine("r"), where=where, **told)

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


def test_older_gpus_run_in_float16_and_what_they_make_is_kept_apart(prepared):
    new = placed(GPU=1)
    old = msgspec.structs.replace(new, precision="fp16")
    made = [prepared(where, "match.matcher=mast3r_hybrid") for where in (new, old, placed(CPU=1))]
    assert [one.precision for one in made] == ["bf16", "fp16", "fp32"]
    assert len({one.geometries for one in made}) == len({one.encodings["mast3r"] for one in made}) == 3


def test_what_no_network_of_that_precision_made_is_shared(prepared):
    gpus, cores = (prepared(placed(**{kind: 1})) for kind in ("GPU", "CPU"))
    assert gpus.geometries == cores.geometries


def test_what_lightglue_matched_in_bfloat16_is_not_kept_as_what_cores_match_in_float32(prepared, tmp_path):
    for name in ("xfeat", "lighterglue-xfeat"):
        (tmp_path / weights_named(name).files[0].name).write_bytes(name.encode())
    names = "extract.extractor=xfeat", "match.matcher=lighterglue"
    gpus, cores = (prepared(placed(**{kind: 1}), *names) for kind in ("GPU", "CPU"))
    assert gpus.geometries != cores.geometries
    assert gpus.features == cores.features


def test_what_auto_comes_to_is_stored_as_what_is_named(prepared):
    heard = []
    named = "extract.extractor=sift", "match.matcher=adalam"
    auto, by_name = (prepared(placed(CPU=1), *names, tell=heard.append) for names in ((), named))
    assert (auto.config, auto.features, auto.geometries) == (by_name.config, by_name.features, by_name.geometries)
    assert heard == []


def test_gpus_that_lack_weights_are_told_of_once_and_nothing_is_fetched(prepared, monkeypatch):
    monkeypatch.delenv("RECONFLOW_OFFLINE", raising=False)
    monkeypatch.setattr("reconflow.nets.weights.download", lambda *_, **__: pytest.fail("nobody asked for weights"))
    heard = []
    assert prepared(placed(GPU=1), tell=heard.append).config.match.matcher == "adalam"
    (notice,) = heard
    assert "`reconflow weights fetch lightglue-aliked` gets it" in notice.message


@pytest.fixture
def fresh_matchers():
    """Matchers are made anew, before and after."""
    for made in (matching.matcher, matching.ready_methods):
        made.cache_clear()
    yield
    for made in (matching.matcher, matching.ready_methods):
        made.cache_clear()


@pytest.mark.usefixtures("fresh_matchers")
def test_pairs_are_looked_at_again_when_a_level_of_evidence_changes(prepared, monkeypatch):
    names = "extract.extractor=sift", "match.matcher=adalam"
    before = prepared(placed(CPU=1), *names)
    for made in (matching.matcher, matching.ready_methods):
        made.cache_clear()
    monkeypatch.setitem(ACCEPTANCE_INLIERS, ("sift", "adalam"), 19)
    after = prepared(placed(CPU=1), *names)
    assert before.features == after.features
    assert before.geometries != after.geometries


RANKED = "shortlist.retrieval=vlad,dinov2-vits14"


def test_networks_that_rank_photos_are_asked_for_in_large_sets_only(prepared):
    small, large = (prepared(placed(CPU=1), RANKED, photos=count) for count in (200, 201))
    assert list(small.encodings) == []
    assert list(large.encodings) == ["dinov2-vits14"]
    with pytest.raises(WeightsError, match=r"get dinov2_vitb14_pretrain\.pth .*`shortlist.retrieval=vlad` is the next"):
        prepared(placed(CPU=1), "shortlist.retrieval=dinov2-vitb14", photos=201)
    assert list(prepared(placed(CPU=1), "shortlist.retrieval=dinov2-vitb14", photos=200).encodings) == []


def test_who_ranks_photos_changes_no_pair(prepared):
    plain, gpus, cores = (
        prepared(placed(**{kind: 1}), *names, photos=500)
        for kind, *names in (("GPU",), ("GPU", RANKED), ("CPU", RANKED))
    )
    assert plain.geometries == gpus.geometries == cores.geometries
    assert (gpus.precision, cores.precision) == ("bf16", "fp32")
    assert gpus.encodings != cores.encodings


def test_a_network_that_matches_and_ranks_sees_photos_once(prepared):
    both = prepared(placed(CPU=1), "match.matcher=mast3r", "shortlist.retrieval=mast3r,dinov2-vits14", photos=500)
    assert (both.encoder, list(both.encodings)) == ("mast3r", ["mast3r", "dinov2-vits14"])


def test_an_unknown_name_in_retrieval_ends_a_run_before_its_first_task(prepared):
    with pytest.raises(ConfigError, match=r"shortlist\.retrieval: unknown retriever 'dino'"):
        prepared(placed(CPU=1), "shortlist.retrieval=dino")


@pytest.fixture
def to_fetch(prepared, small_weights, tmp_path, server, monkeypatch):
    """The small MASt3R, as far away as the official one is on a new machine."""
    mast3r = weights_named("mast3r")
    (tmp_path / mast3r.files[0].name).unlink()
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECONFLOW_OFFLINE", raising=False)
    server.give("/mast3r.pth", small_weights.read_bytes())
    file = dataclasses.replace(mast3r.files[0], url=server.url("/mast3r.pth"))
    monkeypatch.setitem(WEIGHTS, "mast3r", dataclasses.replace(mast3r, files=(file,)))
    return tmp_path / "cache" / "weights" / file.name


def test_fetching_weights_is_told_as_it_goes(prepared, to_fetch, small_weights):
    heard = []
    prepared(placed(CPU=1), "match.matcher=mast3r", tell=heard.append)
    assert to_fetch.read_bytes() == small_weights.read_bytes()
    steps = [event for event in heard if getattr(event, "stage", "") == "weights" and not isinstance(event, Notice)]
    megabytes = round(small_weights.stat().st_size / 1e6)
    assert [type(step) for step in (steps[0], steps[-1])] == [StageStarted, StageFinished]
    assert (steps[0].unit, steps[0].total) == ("MB", megabytes)
    assert [step.done for step in steps[1:-1]][-1] == megabytes >= 1


def test_a_run_that_is_cancelled_while_it_fetches_leaves_nothing(prepared, to_fetch):
    heard = []
    fetching = lambda: any(isinstance(event, StageAdvanced) for event in heard)  # noqa: E731
    with pytest.raises(Cancelled):
        prepared(placed(CPU=1), "match.matcher=mast3r", tell=heard.append, is_cancelled=fetching)
    assert fetching()
    assert list(to_fetch.parent.iterdir()) == []


def test_weights_that_are_here_are_no_stage(prepared):
    heard = []
    prepared(placed(CPU=1), "match.matcher=mast3r", tell=heard.append)
    assert all(isinstance(event, Notice) for event in heard)


@pytest.fixture
def result_of(tmp_path):
    """Makes the folder of a result of such settings; ``more`` is what another version wrote beside them."""

    def make(*overrides, more=None):
        tree = {"config": config_to_tree(load_config(overrides=overrides)) | (more or {})}
        (tmp_path / "run.toml").write_text(tomli_w.dumps(tree))
        (tmp_path / "report.json").write_text("{}")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ((), (), ""),
        (("match.ratio=0.7",), (), "match.ratio=0.7"),
        ((), ("cloud.normals=false", "extract.extractor=sift"), "extract.extractor=auto, cloud.normals=true"),
        (("execution.images_per_tile=3",), (), ""),
    ],
)
def test_settings_of_a_result_that_is_replaced_are_told(result_of, before, now, told):
    assert replaced_settings(result_of(*before), load_config(overrides=now)) == told


def test_nothing_is_told_of_what_is_no_result_or_one_of_another_version(result_of, tmp_path):
    other = load_config(overrides=["match.ratio=0.7"])
    assert replaced_settings(tmp_path / "none", other) == ""
    folder = result_of(more={"magic": {"level": 9}})
    assert replaced_settings(folder, other) == ""
    (folder / "run.toml").write_bytes(b"\xff")
    assert replaced_settings(folder, other) == ""
    folder = result_of()
    (folder / "report.json").unlink()
    assert replaced_settings(folder, other) == ""
