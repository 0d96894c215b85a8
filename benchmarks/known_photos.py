"""Photos of scenes with known poses: which pairs of them show the same place, and how far a pose found is off."""

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from reconflow.core.arrays import Array
from reconflow.core.cameras import CAMERA_PARAMETERS, Camera, Pose
from reconflow.core.submission import OUTLIERS, read_poses

ANGLES_DEG = (0, 15, 30, 60, 120)
"""True pairs are grouped by the angle between the viewing directions; wider ones are left out."""


_FEWEST = 8
"""Matches that a pose takes."""
_RAW_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""How photos are read: as they are stored."""


@dataclass(frozen=True)
class Photo:
    """A photo with its truth; a stray one has no pose."""

    scene: str
    path: Path
    pose: Pose | None
    camera: Camera


def raster_of(photo: Photo) -> Array:
    """Return the (H, W, 3) uint8 RGB raster of a photo, as it is stored."""
    return cv2.cvtColor(cv2.imread(str(photo.path), _RAW_COLOUR), cv2.COLOR_BGR2RGB)


def load_photos(data: Path) -> list[Photo]:
    """Read the scenes of a data folder, and the stray photos of ``mixed-dev``."""
    photos: list[Photo] = []
    for folder in sorted(path for path in data.iterdir() if (path / "truth.csv").exists()):
        cameras = _read_cameras(folder / "cameras.csv")
        for row in read_poses(folder / "truth.csv"):
            stray = row.scene == OUTLIERS
            if stray == (folder.name == "mixed-dev"):
                path = folder / "images" / row.image
                camera = guessed_camera(path) if stray else cameras[row.image]
                photos.append(Photo(row.scene, path, row.cam_from_world, camera))
    return photos


def true_pairs(photos: Sequence[Photo], *, count: int, seed: int) -> list[tuple[int, int]]:
    """Sample pairs of a scene whose viewing directions differ by no more than the largest angle."""
    pairs = itertools.combinations(range(len(photos)), 2)
    within = [(i, j) for i, j in pairs if 0 <= view_angle_deg(photos[i], photos[j]) < ANGLES_DEG[-1]]
    chosen = np.random.default_rng(seed).permutation(len(within))[:count]
    return [within[k] for k in sorted(chosen)]


def unrelated_pairs(photos: Sequence[Photo], *, count: int, seed: int) -> list[tuple[int, int]]:
    """Sample pairs of photos of different scenes; two stray photos are not known to be unrelated."""
    pairs = [(i, j) for i, j in itertools.combinations(range(len(photos)), 2) if photos[i].scene != photos[j].scene]
    with_stray = [pair for pair in pairs if any(photos[i].pose is None for i in pair)]
    others = [pair for pair in pairs if all(photos[i].pose is not None for i in pair)]
    rng = np.random.default_rng(seed)
    chosen: list[tuple[int, int]] = []
    for group in (with_stray, others):
        chosen += [group[k] for k in sorted(rng.permutation(len(group))[: count // 2])]
    return chosen


def view_angle_deg(first: Photo, second: Photo) -> float:
    """Return the angle between both viewing directions; −1 for photos that do not share a scene."""
    if first.scene != second.scene or first.pose is None or second.pose is None:
        return -1.0
    return float(np.rad2deg(np.arccos(np.clip(first.pose.rotation[2] @ second.pose.rotation[2], -1, 1))))


def pose_error_deg(
    first: Photo, second: Photo, *, places: tuple[Array, Array], cameras: tuple[Camera, Camera]
) -> float:
    """Return the larger of the angles by which the rotation and the direction of the translation are off.

    The pose is estimated from the (N, 2) places of inlier matches in both photos; 180 where there is none.
    """
    if first.pose is None or second.pose is None or len(places[0]) < _FEWEST:
        return 180.0
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = _FEWEST
    options.compute_relative_pose = True
    options.ransac.random_seed = 0
    rows = np.repeat(np.arange(len(places[0]), dtype=np.uint32)[:, np.newaxis], 2, axis=1)
    ours, theirs = (camera.to_colmap() for camera in cameras)
    at_a, at_b = (one.astype(np.float64) for one in places)
    geometry = pycolmap.estimate_two_view_geometry(ours, at_a, theirs, at_b, rows, options)
    if geometry.cam2_from_cam1 is None:
        return 180.0
    rotation = second.pose.rotation @ first.pose.rotation.T
    translation = second.pose.translation - rotation @ first.pose.translation
    found = geometry.cam2_from_cam1.matrix()
    turn = np.arccos(np.clip((np.trace(rotation.T @ found[:, :3]) - 1) / 2, -1, 1))
    lengths = np.linalg.norm(translation) * np.linalg.norm(found[:, 3])
    tilt = np.arccos(np.clip(translation @ found[:, 3] / lengths, -1, 1)) if lengths > 0 else np.pi
    return float(np.rad2deg(max(turn, tilt)))


def guessed_camera(path: Path) -> Camera:
    """Return the camera of a photo of which nothing is known."""
    height, width = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION).shape
    return Camera.from_focal("SIMPLE_RADIAL", width, height, 1.2 * max(width, height), prior=False)


def _read_cameras(path: Path) -> dict[str, Camera]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["image"]: Camera(
                model="OPENCV",
                width=int(row["width"]),
                height=int(row["height"]),
                params=tuple(float(row[name]) for name in CAMERA_PARAMETERS["OPENCV"]),
                has_prior_focal=True,
            )
            for row in csv.DictReader(file)
        }
