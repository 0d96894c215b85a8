"""Cameras as pyramids in the world, seen the way their photos are displayed."""

from collections.abc import Mapping, Sequence

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.cameras import CAMERA_PARAMETERS, Camera
from reconflow.core.models import Model, RegisteredImage

# EXIF orientation → where the right and the top of the displayed photo lie in the camera frame (x right, y down).
_DISPLAY_AXES: Mapping[int, tuple[tuple[int, int], tuple[int, int]]] = {
    1: ((1, 0), (0, -1)),
    2: ((-1, 0), (0, -1)),
    3: ((-1, 0), (0, 1)),
    4: ((1, 0), (0, 1)),
    5: ((0, 1), (-1, 0)),
    6: ((0, -1), (-1, 0)),
    7: ((0, -1), (1, 0)),
    8: ((0, 1), (1, 0)),
}


def frustum(image: RegisteredImage, camera: Camera, *, size: float, orientation: int = 1) -> Array:
    """Return the camera centre and four corners of its picture, (5, 3) float64 in world units.

    The corners go round from the top left of the *displayed* photo: top left, top right, bottom right, bottom left.
    ``size`` is half the picture's diagonal; distortion is left out.
    """
    right, up = (np.array(axis) for axis in display_axes(orientation))
    signs = np.array([up - right, up + right, right - up, -right - up], np.float64)
    names = dict(zip(CAMERA_PARAMETERS[camera.model], camera.params, strict=True))
    focal = np.array([names.get("fx", camera.focal_px), names.get("fy", camera.focal_px)])
    half = np.array([camera.width, camera.height]) / 2 / focal
    scale = size / float(np.linalg.norm(half))
    corners = np.column_stack([signs * half, np.ones(4)]) * scale
    pose = image.cam_from_world
    return np.vstack([pose.center_in_world, (corners - pose.translation) @ pose.rotation])


def display_axes(orientation: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return right and up of the displayed photo as (x, y) in the camera frame, x right and y down."""
    return _DISPLAY_AXES.get(orientation, _DISPLAY_AXES[1])


def frustum_size(centers: Array, *, radius: float) -> float:
    """Return a size at which neighbouring frusta just about do not touch, within 2 to 9 % of the scene's radius."""
    low, high = 0.02 * radius, 0.09 * radius
    if len(centers) < 2:
        return high
    from scipy.spatial import KDTree

    distances, _ = KDTree(centers).query(centers, k=2)
    return float(np.clip(0.4 * np.median(distances[:, 1]), low, high))


def centers_in_world(model: Model) -> Array:
    """Return the camera centres by sorted photo name, (N, 3) float64."""
    poses = [model.images[name].cam_from_world for name in sorted(model.images)]
    return np.array([pose.center_in_world for pose in poses], np.float64).reshape(-1, 3)


def thinned(count: int, *, at_most: int, seed: int = 0) -> Array:
    """Return sorted row numbers: all of ``count`` where they fit, else a random choice that repeats."""
    if count <= at_most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, at_most, replace=False))


def kept_counts(counts: Sequence[int], *, at_most: int) -> list[int]:
    """Return how many points of each cloud to keep: a quarter of the budget in equal parts, the rest by size.

    >>> kept_counts([1_000_000, 500, 3_000], at_most=150_000)
    [124607, 500, 3000]
    """
    total = max(1, sum(counts))
    equal = at_most // 4 // max(1, len(counts))
    return [min(count, equal + (at_most - at_most // 4) * count // total) for count in counts]
