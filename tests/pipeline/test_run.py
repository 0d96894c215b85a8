import hashlib
import os
import shutil
import signal
import threading
import tomllib
import zipfile

import msgspec
import numpy as np
import pytest
from distributed import Event

import reconflow as rf
from reconflow.config import load_config
from reconflow.core.images import ImageRecord
from reconflow.errors import Cancelled, InputError, NoImagesError, RunFolderBusyError, TooFewImagesError
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.events import Notice, StageAdvanced, StageFinished, StageStarted
from reconflow.pipeline.run import run
from reconflow.pipeline.thumbnails import make_thumbnails
from reconflow.pipeline.work_items import ThumbnailTask
from reconflow.store.run_folder import RunFolder


class Ears:
    """Listens to a run; ``on`` calls a function once, when a stage has advanced."""

    def __init__(self, on=None):
        self.events = []
        self._on = on or {}

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, StageAdvanced) and event.stage in self._on:
            self._on.pop(event.stage)()

    def reused(self):
        return {e.stage: e.reused for e in self.events if isinstance(e, StageFinished)}

    def told(self, words):
        return [e.message for e in self.events if isinstance(e, Notice) and words in e.message]


def hashes(folder):
    names = ["submission.csv", "images.csv", *sorted(p.name for p in folder.glob("*.ply"))]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def finished(client, sample, quick, tmp_path_factory):
    """A run that went through undisturbed."""
    ears = Ears()
    out = tmp_path_factory.mktemp("finished")
    result = run(sample.images, out, client=client, config=quick, dataset="sample", on_event=ears)
    return result, ears


def test_two_mixed_scenes_come_out_as_two_models_with_every_photo(finished, sample):
    result, _ = finished
    scene_of = {row.image: row.scene for row in sample.rows}
    assert len(result.clusters) == 2
    for model in result.clusters:
        assert len({scene_of[name] for name in model.images}) == 1
        assert len(model.images) == 5
        assert model.errors_px.mean() < 1


def test_the_score_against_the_known_cameras_is_high(finished, sample):
    result, _ = finished
    score = rf.evaluate_files(sample.folder / "truth.csv", result.folder / "submission.csv")
    assert score.final > 0.9


def test_every_file_of_the_input_has_exactly_one_fate(finished, sample):
    result, _ = finished
    fates = result.images["status"].to_dict()
    assert set(fates) == {p.name for p in sample.images.iterdir()}
    assert [name for name, fate in fates.items() if fate == "unreadable"] == list(sample.unreadable)
    strays = {row.image for row in sample.rows if row.scene == "outliers"}
    assert {name for name, fate in fates.items() if fate == "outlier"} == strays
    assert sorted(row.image for row in result.poses) == sorted(set(fates) - set(sample.unreadable))


def test_all_promised_files_are_there(finished):
    folder = finished[0].folder
    for name in (
        "submission.csv",
        "images.csv",
        "pairs.csv",
        "report.json",
        "report.html",
        "run.toml",
        "cluster0_model0.ply",
        "cluster0_decimated_model0.ply",
        "models/cluster1_model0/points3D.bin",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert not list(folder.rglob(".partial*"))


def test_progress_of_every_stage_is_told_in_order_and_never_goes_back(finished):
    _, ears = finished
    stages = [e.stage for e in ears.events if isinstance(e, StageStarted)]
    assert stages == ["ingest", "extract", "shortlist", "match", "split", "reconstruct", "cloud", "report"]
    for stage in stages:
        counts = [e.done for e in ears.events if isinstance(e, StageAdvanced) and e.stage == stage]
        assert counts == sorted(counts)
    assert any(isinstance(e, Notice) and "cannot be" in e.message for e in ears.events)


def test_running_again_reuses_everything_and_gives_the_same_bytes(finished, client, sample, quick):
    result, _ = finished
    before = hashes(result.folder)
    ears = Ears()
    run(sample.images, result.folder, client=client, config=quick, dataset="sample", on_event=ears)
    assert ears.reused() | {"ingest": 0} == {
        "ingest": 0,
        "extract": 11,
        "shortlist": 0,
        "match": 55,
        "split": 0,
        "reconstruct": 10,
        "cloud": 0,
        "report": 0,
    }
    assert hashes(result.folder) == before
    assert not ears.told("is replaced")


def test_methods_that_are_left_open_are_those_of_a_run_that_names_them(finished, client, sample, quick, out):
    """Cores offer no GPU: the same keys, and so the same bytes."""
    named = load_config(
        overrides=[
            "extract.extractor=sift",
            "match.matcher=adalam",
            "extract.max_keypoints=2000",
            "cloud.normals=false",
        ]
    )
    assert quick.extract.extractor == quick.match.matcher == "auto"
    ears, before = Ears(), finished[0].folder
    store = str(before / "store")
    run(sample.images, out, client=client, config=named, dataset="sample", store=store, on_event=ears)
    assert (ears.reused()["extract"], ears.reused()["match"]) == (11, 55)
    assert hashes(out) == hashes(before)
    for folder in (out, before):
        config = tomllib.loads((folder / "run.toml").read_text())["config"]
        assert (config["extract"]["extractor"], config["match"]["matcher"]) == ("sift", "adalam")
        assert "features and matches: sift+adalam" in (folder / "report.html").read_text()


def test_a_changed_mapping_option_repeats_no_extraction_and_no_matching(finished, client, sample, quick, out):
    store = str(finished[0].folder / "store")
    other = msgspec.structs.replace(quick, reconstruct=msgspec.structs.replace(quick.reconstruct, seed=5))
    ears = Ears()
    run(sample.images, out, client=client, config=other, dataset="sample", store=store, on_event=ears)
    reused = ears.reused()
    assert (reused["extract"], reused["match"], reused["reconstruct"]) == (11, 55, 0)
    assert not ears.told("is replaced")
    ears = Ears()
    run(sample.images, out, client=client, config=quick, dataset="sample", store=store, on_event=ears)
    told = ["the result here, of reconstruct.seed=5, is replaced: another folder with the same store keeps both"]
    assert ears.told("is replaced") == told


def test_a_notebook_opens_what_is_stored_in_one_line(finished):
    result, _ = finished
    folder = result.folder
    features = rf.open_features(folder)
    matches = rf.open_matches(folder)
    model = result.clusters[0]
    names = sorted(model.images)
    assert len(features[names[0]]) > 100
    putative, geometry = matches[names[0], names[1]]
    assert 15 <= len(geometry) <= len(putative)
    again = rf.open_result(folder)
    assert again.insights == msgspec.json.decode((folder / "report.json").read_bytes(), type=type(result.insights))
    assert again.clusters[0].points.shape == (again.insights.models[0].n_points, 3)
    assert again.clusters[0].cam_from_world[names[0]].rotation.shape == (3, 3)
    assert result.plot().data
    assert "10 of 11 photos" in result._repr_html_()


def test_a_worker_killed_while_matching_costs_only_its_tile(finished, client, sample, quick, out):
    pids = list(client.run(os.getpid).values())
    victim = next(pid for pid in pids if pid != os.getpid())
    ears = Ears(on={"match": lambda: os.kill(victim, signal.SIGKILL)})
    result = run(sample.images, out, client=client, config=quick, dataset="sample", on_event=ears)
    assert sorted(map(sorted, (m.images for m in result.clusters))) == sorted(
        map(sorted, (m.images for m in finished[0].clusters))
    )
    assert hashes(out)["submission.csv"] == hashes(finished[0].folder)["submission.csv"]


@pytest.mark.parametrize("stage", ["extract", "match", "reconstruct"])
def test_a_cancelled_run_goes_on_from_what_is_stored(client, sample, quick, out, stage):
    stop = threading.Event()
    with pytest.raises(Cancelled):
        run(
            sample.images,
            out,
            client=client,
            config=quick,
            on_event=Ears(on={stage: stop.set}),
            is_cancelled=stop.is_set,
        )
    ears = Ears()
    result = run(sample.images, out, client=client, config=quick, on_event=ears)
    assert len(result.clusters) == 2
    if stage == "reconstruct":
        assert ears.reused()["match"] == 55


def test_a_zip_gives_what_the_folder_gives(finished, client, sample, quick, out, tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for photo in sorted(sample.images.iterdir()):
            archive.write(photo, f"holiday/{photo.name}")
    store = str(finished[0].folder / "store")
    ears = Ears()
    result = run(path, out, client=client, config=quick, store=store, on_event=ears)
    assert {name.removeprefix("holiday/") for name in result.images.index} == set(finished[0].images.index)
    assert (ears.reused()["extract"], ears.reused()["match"]) == (11, 55)


def test_a_run_that_is_cancelled_while_it_unpacks_leaves_no_photo(client, quick, out, noise, tmp_path):
    path = noise.pack(tmp_path / "photos.zip", [(f"{i}.png", bytes(1 << 20)) for i in range(8)])
    with pytest.raises(Cancelled):
        run(path, out, client=client, config=quick, is_cancelled=lambda: len(list(out.rglob("*.png"))) == 3)
    assert list(out.rglob("*.png")) == []


def test_a_run_that_is_cancelled_while_it_writes_writes_nothing_more(finished, client, sample, quick, out):
    store, first = str(finished[0].folder / "store"), out / "models" / "cluster0_model0"
    out.mkdir(exist_ok=True)
    shutil.copy(finished[0].folder / "report.json", out)
    with pytest.raises(Cancelled):
        run(sample.images, out, client=client, config=quick, store=store, is_cancelled=first.exists)
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert not (out / "submission.csv").exists()
    with pytest.raises(InputError, match="not the folder of a finished run"):  # and not models of two runs
        rf.open_result(out)


def test_settings_beside_a_result_are_those_that_it_came_of(finished, client, sample, quick, out):
    store = str(finished[0].folder / "store")
    run(sample.images, out, client=client, config=quick, store=store)
    before, stop = (out / "run.toml").read_bytes(), threading.Event()
    other = msgspec.structs.replace(quick, reconstruct=msgspec.structs.replace(quick.reconstruct, seed=5))
    for _ in range(2):
        ears = Ears(on={"shortlist": stop.set})
        with pytest.raises(Cancelled):
            run(sample.images, out, client=client, config=other, store=store, on_event=ears, is_cancelled=stop.is_set)
        stop.clear()
        assert ears.told("reconstruct.seed=0, is replaced")
        assert (out / "run.toml").read_bytes() == before
    assert len(rf.open_result(out).clusters) == 2
    assert len(rf.open_features(out)) == 11


def test_a_run_that_is_cancelled_between_stages_begins_none_that_has_nothing_left_to_do(
    finished, client, sample, quick, out
):
    stop = threading.Event()
    ears = Ears(on={"shortlist": stop.set})
    with pytest.raises(Cancelled):
        store = str(finished[0].folder / "store")
        run(sample.images, out, client=client, config=quick, store=store, on_event=ears, is_cancelled=stop.is_set)
    assert [e.stage for e in ears.events if isinstance(e, StageStarted)] == ["ingest", "extract", "shortlist"]


def test_thumbnails_end_when_the_run_is_cancelled(client, sample):
    line, photo = RunLine("cancelled"), min(sample.images.glob("*.jpg"))
    Event(line.cancel, client=client).set()
    record = ImageRecord(name="a.jpg", path=str(photo), sha256="0", width=640, height=480)
    task = ThumbnailTask("all", (record,) * 3000)
    with pytest.raises(Cancelled):
        client.submit(make_thumbnails, task, line).result()


def test_photos_that_share_nothing_end_as_outliers_and_not_as_a_lie(client, sample, quick, out, tmp_path):
    chosen: dict[str, str] = {}
    for row in sample.rows:
        chosen.setdefault(row.scene, row.image)
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in chosen.values():
        (folder / name).write_bytes((sample.images / name).read_bytes())
    result = run(folder, out, client=client, config=quick)
    assert result.clusters == ()
    assert set(result.images["status"]) == {"outlier"}
    assert all(row.scene == "outliers" for row in result.poses)


def test_a_file_whose_name_is_not_utf8_is_told_and_the_others_go_on(client, sample, quick, out, tmp_path):
    folder, heard = tmp_path / "named", Ears()
    folder.mkdir()
    names = ["a.jpg", "b.jpg", "c.jpg", "caf\udce9.jpg"]
    for name, photo in zip(names, sorted(sample.cameras), strict=False):
        (folder / name).write_bytes((sample.images / photo).read_bytes())
    result = run(folder, out, client=client, config=quick, on_event=heard)
    fates = result.images["status"].to_dict()
    assert [name for name, fate in fates.items() if fate == "unreadable"] == ["caf\\xe9.jpg"]
    assert len(fates) == 4
    assert len(heard.told("caf\\xe9.jpg cannot be used: its name")) == 1


def test_bad_input_is_told_before_any_work(client, quick, out, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NoImagesError):
        run(empty, out, client=client, config=quick)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (empty / name).write_bytes(b"no image")
    with pytest.raises(TooFewImagesError, match="0 readable photos"):
        run(empty, out, client=client, config=quick)


def test_two_runs_do_not_write_to_one_folder(client, sample, quick, out):
    with RunFolder(out), pytest.raises(RunFolderBusyError, match="another run is writing"):
        run(sample.images, out, client=client, config=quick)


def test_several_extractors_share_tracks_and_what_is_stored_of_each(client, sample, quick, out, finished, weights):
    methods = load_config(
        overrides=["extract.max_keypoints=2000", "extract.extractor=sift,aliked-t16", "match.matcher=adalam"]
    )
    ears = Ears()
    result = run(
        sample.images, out, client=client, config=methods, store=str(finished[0].folder / "store"), on_event=ears
    )
    assert ears.reused()["extract"] == 11  # SIFT's are those of the run before
    assert sorted(len(model.images) for model in result.clusters) == [5, 5]
    alone = rf.open_features(finished[0].folder)
    both = rf.open_features(out)
    name = min(result.clusters[0].images)
    assert len(both[name]) > len(alone[name])
    assert np.array_equal(both[name].keypoints[: len(alone[name])], alone[name].keypoints)
