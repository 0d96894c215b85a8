"""A folder of sample photos – several scenes mixed, strays among them – with the truth beside it."""

import csv
import io
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera, Pose
from reconflow.core.submission import OUTLIERS, PoseRow, write_poses
from reconflow.errors import ConfigError
from reconflow.world.exif import Body, Place, exif_block
from reconflow.world.meshes import SceneMesh
from reconflow.world.render import render
from reconflow.world.scenes import SCENES, build_scene, build_stray, camera_poses

logger = logging.getLogger(__name__)

DATASET = "sample"
"""First column of the truth."""

_BODIES = (
    Body(make="Lumen", model="Pocket 28", focal_35mm=28, crop=4.6, focal_error=0.012, distortion=-0.045),
    Body(make="Lumen", model="Field 30", focal_35mm=30, crop=1.5, focal_error=-0.008, distortion=0.02),
    Body(make="Skua", model="Survey 26", focal_35mm=26, crop=2.7, focal_error=0.01, distortion=-0.03),
)
_STRAY_BODY = Body(make="Ferrule", model="Snap", focal_35mm=32, crop=5.6, focal_error=0.0, distortion=-0.02)
_PLACES = {"boulders": Place(latitude_deg=46.57, longitude_deg=8.41, altitude_m=1840.0)}
_START = datetime(2024, 5, 11, 9, 20)  # noqa: DTZ001 - EXIF writes local time without a zone
_LOOSE = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05)
_STRICT = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01)
"""Thresholds as shares of the RMS distance of a scene's cameras from their middle."""


@dataclass(frozen=True)
class SampleTruth:
    """What is known of a sample."""

    folder: Path
    images: Path
    """The folder of photos, inside ``folder``: the input of a run."""
    rows: tuple[PoseRow, ...]
    """Scene and pose of every readable photo, sorted by name; strays stand in scene ``outliers``."""
    cameras: dict[str, Camera]
    """The true camera of every readable photo."""
    unreadable: tuple[str, ...]
    """Files that look like photos and are not."""


@dataclass(frozen=True)
class _Shot:
    """A photo yet to be taken; ``scene`` is ``outliers`` for a stray."""

    scene: str
    number: int
    body: Body
    pose: Pose | None
    taken_at: datetime


def make_sample(
    folder: str | os.PathLike[str],
    *,
    scenes: Sequence[str] = tuple(SCENES),
    photos_per_scene: int = 14,
    strays: int = 4,
    corrupt: bool = False,
    size: tuple[int, int] = (1024, 768),
    layout: Literal["flat", "folders"] = "flat",
    seed: int = 0,
) -> SampleTruth:
    """Render a sample into ``folder``: ``images/``, ``truth.csv``, ``cameras.csv`` and two files of thresholds.

    Parameters
    ----------
    folder : path
        Made if need be; files of an earlier sample are written over.
    scenes : sequence of str
        Names from :data:`reconflow.world.scenes.SCENES`.
    photos_per_scene, strays : int
        How many photos show each scene, and how many show something else.
    corrupt : bool
        Add a file that is cut off in the middle.
    size : (int, int)
        Width and height in pixels.
    layout : {"flat", "folders"}
        All photos under numbers in mixed order, or one sub-folder per camera, in the order they were taken.
    seed : int
        The same seed gives the same poses, and on one machine the same bytes.

    Raises
    ------
    ConfigError
        If a scene is unknown or a number makes no sense.
    DependencyError
        If Open3D cannot be loaded, with what to install.

    """
    _check(scenes, photos_per_scene, strays, size)
    images = Path(folder) / "images"
    images.mkdir(parents=True, exist_ok=True)
    shots = _plan(scenes, photos_per_scene, strays, seed)
    names = _names(shots, layout, spare=int(corrupt), seed=seed)
    rows: dict[str, PoseRow] = {}
    cameras: dict[str, Camera] = {}
    last = b""
    for name, shot, camera, pose, picture in _taken(shots, names, size, seed):
        last = _encoded(picture, shot, pose)
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(last)
        cameras[name] = camera
        rows[name] = PoseRow(dataset=DATASET, scene=shot.scene, image=name, cam_from_world=shot.pose)
    unreadable = tuple(names[len(shots) :])
    for name in unreadable:
        (images / name).write_bytes(last[: len(last) // 3])
    truth = SampleTruth(Path(folder), images, tuple(rows[name] for name in sorted(rows)), cameras, unreadable)
    _write_truth(truth)
    return truth


def _check(scenes: Sequence[str], photos_per_scene: int, strays: int, size: tuple[int, int]) -> None:
    for name in scenes:
        if name not in SCENES:
            raise ConfigError(f"there is no sample scene {name!r}: choose from {', '.join(SCENES)}")
    if len(set(scenes)) != len(scenes):
        raise ConfigError("each sample scene can be named once")
    if photos_per_scene < 2 or strays < 0 or min(size) < 16:
        raise ConfigError("a sample needs at least 2 photos per scene, 0 strays and 16 pixels each way")


def _plan(scenes: Sequence[str], photos_per_scene: int, strays: int, seed: int) -> list[_Shot]:
    """Return the photos to take, scene by scene in the order they are taken, with the strays at the end."""
    rng = np.random.default_rng([seed, 4])
    shots: list[_Shot] = []
    for scene in scenes:
        index = list(SCENES).index(scene)
        now = _START + timedelta(days=index, minutes=47 * index)
        for number, pose in enumerate(camera_poses(scene, photos_per_scene, seed=seed)):
            now += timedelta(seconds=int(rng.integers(4, 35)))
            shots.append(_Shot(scene, number, _BODIES[index % len(_BODIES)], pose, now))
    for number in range(strays):
        now = _START + timedelta(days=int(rng.integers(0, 3)), seconds=int(rng.integers(0, 20_000)))
        shots.append(_Shot(OUTLIERS, number, _STRAY_BODY, None, now))
    return shots


def _names(shots: Sequence[_Shot], layout: str, *, spare: int, seed: int) -> list[str]:
    """Return a file name per shot, and ``spare`` more at the end."""
    if layout == "folders":
        folders = [shot.body.model.lower().replace(" ", "_") for shot in shots] + ["card"] * spare
        return [f"{home}/img_{folders[:index].count(home):03d}.jpg" for index, home in enumerate(folders)]
    order = np.random.default_rng([seed, 5]).permutation(len(shots) + spare)
    return [f"img_{number:03d}.jpg" for number in order]


def _taken(
    shots: Sequence[_Shot], names: Sequence[str], size: tuple[int, int], seed: int
) -> Iterator[tuple[str, _Shot, Camera, Pose, Array]]:
    """Yield each photo with its name, camera and pose; each scene is built once."""
    scene: SceneMesh | None = None
    for index, shot in enumerate(shots):
        pose = shot.pose
        if pose is None:
            scene, pose = build_stray(shot.number, seed=seed)
        elif scene is None or scene.name != shot.scene:
            logger.info("building the sample scene %s", shot.scene)
            scene = build_scene(shot.scene, seed=seed)
        camera = _camera(shot.body, size)
        # Development differs from photo to photo, whatever else is in the sample.
        picture = render(scene, camera, pose, seed=seed * 100_003 + index)
        yield names[index], shot, camera, pose, picture


def _camera(body: Body, size: tuple[int, int]) -> Camera:
    width, height = size
    focal = body.nominal_focal_px(width, height) * (1 + body.focal_error)
    params = (focal, width / 2 + 0.0008 * width, height / 2 - 0.0006 * height, body.distortion)
    return Camera(model="SIMPLE_RADIAL", width=width, height=height, params=params)


def _encoded(picture: Array, shot: _Shot, pose: Pose) -> bytes:
    place = _PLACES.get(shot.scene)
    here = None if place is None else place.at(pose.center_in_world)
    file = io.BytesIO()
    block = exif_block(shot.body, taken_at=shot.taken_at, place=here)
    Image.fromarray(picture).save(file, "JPEG", quality=92, exif=block)
    return file.getvalue()


def _write_truth(truth: SampleTruth) -> None:
    write_poses(truth.rows, truth.folder / "truth.csv")
    with (truth.folder / "cameras.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "width", "height", "fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "source"))
        for name, camera in sorted(truth.cameras.items()):
            f, cx, cy, k = (f"{value:.6f}" for value in camera.params)
            writer.writerow((name, camera.width, camera.height, f, f, cx, cy, k, 0, 0, 0, "benchmark"))
    for file_name, shares in (("thresholds.csv", _LOOSE), ("thresholds_strict.csv", _STRICT)):
        _write_thresholds(truth, truth.folder / file_name, shares)


def _write_thresholds(truth: SampleTruth, path: Path, shares: Sequence[float]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("dataset", "scene", "thresholds"))
        for scene in sorted({row.scene for row in truth.rows} - {OUTLIERS}):
            poses = [row.cam_from_world for row in truth.rows if row.scene == scene]
            centers = np.array([pose.center_in_world for pose in poses if pose is not None])
            spread = float(np.sqrt(((centers - centers.mean(axis=0)) ** 2).sum(axis=1).mean()))
            writer.writerow((DATASET, scene, ";".join(f"{share * spread:.6g}" for share in shares)))
