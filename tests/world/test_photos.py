import csv
import dataclasses
import hashlib
import itertools
from datetime import datetime
from functools import partial

import msgspec
import numpy as np
import pytest
from PIL import Image

from reconflow.config import IngestConfig
from reconflow.core.images import Unreadable
from reconflow.core.submission import OUTLIERS, read_poses
from reconflow.errors import ConfigError
from reconflow.stages.ingest import ingest_image, list_photos
from reconflow.world import photos, scenes
from reconflow.world.photos import SampleTruth, make_sample
from reconflow.world.scenes import SCENES, camera_poses
from reconflow.world.surfaces import Patch, boulder, level
from reconflow.world.textures import rock

SMALL = {"photos_per_scene": 3, "strays": 1, "size": (160, 120)}


def bare_rocks(rng: np.random.Generator) -> list[Patch]:
    """A scene that is built in no time."""
    stuff = partial(rock, rng, color=(0.6, 0.5, 0.4))
    floor = level(-20, -20, 20, 20, 0.0, stuff, texels_per_m=10, step_m=1.0)
    return [floor, boulder(rng, stuff, center=(0, 0, 1.5), size=(2, 2, 2), texels_per_m=20)]


@pytest.fixture(scope="module", autouse=True)
def quick_scenes():
    with pytest.MonkeyPatch.context() as patch:
        for name, recipe in list(SCENES.items()):
            patch.setitem(SCENES, name, dataclasses.replace(recipe, patches=bare_rocks))
        patch.setattr(scenes, "stray_patches", lambda rng, number: bare_rocks(rng))
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory, quick_scenes) -> SampleTruth:
    return make_sample(tmp_path_factory.mktemp("sample"), scenes=["courtyard", "boulders"], corrupt=True, **SMALL)


def digests(truth: SampleTruth) -> dict[str, str]:
    files = sorted(path for path in truth.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(truth.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_file_of_a_sample_is_there(sample):
    assert [name for name, _ in list_photos(sample.images)] == sorted([*sample.cameras, *sample.unreadable])
    assert [row.scene for row in sample.rows].count("courtyard") == 3
    assert [row.scene for row in sample.rows].count("boulders") == 3
    assert [row.scene for row in sample.rows].count(OUTLIERS) == 1
    assert len(sample.unreadable) == 1
    for name in ("truth.csv", "cameras.csv", "thresholds.csv", "thresholds_strict.csv"):
        assert (sample.folder / name).stat().st_size > 0


def test_names_tell_nothing_of_the_scene(sample):
    names = sorted([*sample.cameras, *sample.unreadable])
    assert names == [f"img_{number:03d}.jpg" for number in range(8)]
    order = [row.scene for row in sample.rows]
    assert order != sorted(order)


def test_the_truth_reads_back_as_it_was(sample):
    rows = read_poses(sample.folder / "truth.csv")
    assert [(row.scene, row.image) for row in rows] == [(row.scene, row.image) for row in sample.rows]
    for read, row in zip(rows, sample.rows, strict=True):
        assert (read.cam_from_world is None) == (row.scene == OUTLIERS)
    posed = [(read.cam_from_world, row.cam_from_world) for read, row in zip(rows, sample.rows, strict=True)]
    matrices = [(a.matrix, b.matrix) for a, b in posed if a is not None and b is not None]
    assert len(matrices) == 6
    assert all((a == b).all() for a, b in matrices)


def test_the_tables_of_cameras_and_thresholds_have_the_columns_of_the_benchmark(sample):
    with (sample.folder / "cameras.csv").open() as file:
        cameras = list(csv.DictReader(file))
    assert list(cameras[0]) == ["image", "width", "height", "fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "source"]
    assert [row["image"] for row in cameras] == sorted(sample.cameras)
    for row in cameras:
        f, cx, cy, k = sample.cameras[row["image"]].params
        assert [float(row[name]) for name in ("fx", "fy", "cx", "cy", "k1")] == pytest.approx(
            [f, f, cx, cy, k], abs=1e-5
        )
    with (sample.folder / "thresholds.csv").open() as file:
        thresholds = {row["scene"]: [float(v) for v in row["thresholds"].split(";")] for row in csv.DictReader(file)}
    assert sorted(thresholds) == ["boulders", "courtyard"]
    assert all(len(values) == 6 and values == sorted(values) for values in thresholds.values())


def test_exif_comes_back_through_ingest(sample):
    scene_of = {row.image: row for row in sample.rows}
    records = {}
    for name, path in list_photos(sample.images):
        record = ingest_image(name, path, config=IngestConfig())
        if name in sample.unreadable:
            assert isinstance(record, Unreadable)
            continue
        records[name] = record
        true = sample.cameras[name].focal_px
        assert record.focal_prior_px == pytest.approx(true, rel=0.02)
        assert record.exif.make
        assert record.exif.model
        assert record.exif.focal_mm > 0
        assert (record.exif.latitude_deg is not None) == (scene_of[name].scene == "boulders")
    times = [r.exif.taken_at for n, r in sorted(records.items()) if scene_of[n].scene == "courtyard"]
    assert len(set(times)) == 3


def test_gps_tells_the_position_to_a_centimetre(sample):
    place = photos._PLACES["boulders"]
    for row in sample.rows:
        if row.scene != "boulders":
            continue
        exif = ingest_image(row.image, sample.images / row.image, config=IngestConfig()).exif
        metres = 6_371_000 * np.deg2rad(1)
        east = (exif.longitude_deg - place.longitude_deg) * metres * np.cos(np.deg2rad(place.latitude_deg))
        north = (exif.latitude_deg - place.latitude_deg) * metres
        position = [east, north, exif.altitude_m - place.altitude_m]
        assert np.abs(position - row.cam_from_world.center_in_world).max() < 0.01


def test_photos_are_jpegs_of_the_size_asked(sample):
    for name in sample.cameras:
        with Image.open(sample.images / name) as image:
            assert image.format == "JPEG"
            assert image.size == (160, 120)


def test_the_same_seed_makes_the_same_bytes(tmp_path):
    first, again = (make_sample(tmp_path / name, scenes=["courtyard"], **SMALL) for name in "ab")
    other = make_sample(tmp_path / "c", scenes=["courtyard"], seed=1, **SMALL)
    assert digests(first) == digests(again)
    assert digests(first).keys() == digests(other).keys()
    assert not set(digests(first).values()) & set(digests(other).values())


def test_folders_keep_the_photos_of_a_camera_together_in_order():
    shots = photos._plan(["courtyard", "boulders"], 3, 2, 0)
    names = photos._names(shots, "folders", spare=1, seed=0)
    assert names[:3] == ["pocket_28/img_000.jpg", "pocket_28/img_001.jpg", "pocket_28/img_002.jpg"]
    assert names[-1] == "card/img_000.jpg"
    assert len(set(names)) == 9


@pytest.mark.parametrize("name", sorted(SCENES))
@pytest.mark.parametrize("count", [2, 9, 40])
def test_neighbours_on_a_trajectory_see_the_same_things(name, count):
    poses = camera_poses(name, count)
    assert len(poses) == count
    for a, b in itertools.pairwise(poses):
        angle = np.rad2deg(np.arccos(np.clip(a.rotation[2] @ b.rotation[2], -1, 1)))
        distance = np.linalg.norm(a.center_in_world - b.center_in_world)
        assert angle < 20
        assert 0.01 < distance < 7


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scenes": ["castle"]}, "courtyard, temple, boulders"),
        ({"scenes": ["temple", "temple"]}, "once"),
        ({"photos_per_scene": 1}, "at least 2"),
    ],
)
def test_a_sample_that_makes_no_sense_is_refused(tmp_path, wrong, says):
    with pytest.raises(ConfigError, match=says):
        make_sample(tmp_path / "none", **wrong)
    assert not (tmp_path / "none").exists()


def test_exif_blocks_survive_a_round_trip_of_the_southern_hemisphere():
    from reconflow.stages.ingest import _exif
    from reconflow.world.exif import Body, Place, exif_block

    body = Body(make="A", model="B", focal_35mm=35, crop=1.5, focal_error=0, distortion=0)
    place = Place(latitude_deg=-33.123456, longitude_deg=-70.654321, altitude_m=12.5)
    block = exif_block(body, taken_at=datetime.fromisoformat("2024-02-29 23:59:58"), place=place)
    gps = {(1 << 20) + tag: value for tag, value in block.get_ifd(0x8825).items()}
    exif = _exif({**block, **block.get_ifd(0x8769), **gps})
    assert exif.latitude_deg == pytest.approx(-33.123456, abs=1e-7)
    assert exif.longitude_deg == pytest.approx(-70.654321, abs=1e-7)
    assert exif.taken_at == "2024:02:29 23:59:58"
    assert exif.focal_35mm == 35
    assert msgspec.structs.asdict(exif)["altitude_m"] == 12.5
