"""Models as the viewer takes them: upright, centred, of unit size, thinned."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.clouds import PointCloud
from reconflow.core.models import Model
from reconflow.report.frusta import centers_in_world, display_axes, frustum, frustum_size, kept_counts, thinned

FARTHEST = 25.0
"""Points beyond so many scene radii are left out: they are noise, and would only cost room."""


def viewer_scenes(
    models: Sequence[Model],
    *,
    clouds: Mapping[str, PointCloud],
    photo_numbers: Mapping[str, int],
    orientations: Mapping[str, int],
    max_points: int,
) -> list[dict[str, Any]]:
    """Return a JSON-ready scene per model, largest first.

    A model's points are those of the cloud of its name, or its own where there is none. ``points`` is base64 of
    little-endian float32 positions (12 bytes each), followed by the colours (3 bytes each), in a frame with z up, the
    cameras on the side of negative y, and most of the scene within a unit ball.
    """
    ordered = sorted(models, key=lambda model: (-len(model.images), model.name))
    found = [clouds.get(model.name) or PointCloud(model.points, model.colors) for model in ordered]
    kept = kept_counts([len(cloud) for cloud in found], at_most=max_points)
    return [
        _scene(model, cloud, at_most=most, photo_numbers=photo_numbers, orientations=orientations)
        for model, cloud, most in zip(ordered, found, kept, strict=True)
    ]


def _scene(
    model: Model,
    cloud: PointCloud,
    *,
    at_most: int,
    photo_numbers: Mapping[str, int],
    orientations: Mapping[str, int],
) -> dict[str, Any]:
    names = sorted(name for name in model.images if name in photo_numbers)
    usable = np.isfinite(cloud.points).all(axis=1)
    points, colors = cloud.points[usable], cloud.colors[usable]
    rotation = upright(model, orientations)
    center, radius = _extent(points @ rotation.T, centers_in_world(model) @ rotation.T)
    rows = thinned(len(points), at_most=at_most)
    placed = (points[rows] @ rotation.T - center) / radius
    near = (np.abs(placed) < FARTHEST).all(axis=1)
    size = frustum_size(centers_in_world(model), radius=radius)
    cameras: list[list[float]] = []
    for name in names:
        image = model.images[name]
        corners = frustum(image, model.cameras[image.camera_id], size=size, orientation=orientations.get(name, 1))
        placed_corners = (corners @ rotation.T - center) / radius
        if np.isfinite(placed_corners).all():
            cameras.append([photo_numbers[name], *(round(float(value), 5) for value in placed_corners.ravel())])
    content = placed[near].astype("<f4").tobytes() + colors[rows][near].tobytes()
    return {
        "name": model.name,
        "cluster": model.cluster,
        "total": len(cloud),
        "count": int(near.sum()),
        "cameras": cameras,
        "points": base64.b64encode(content).decode("ascii"),
    }


def _extent(points: Array, centers: Array) -> tuple[Array, float]:
    """Return middle and half diagonal of the box that holds most points and cameras."""
    parts = [np.percentile(part, (4, 96), axis=0) for part in (points, centers) if len(part)]
    if not parts:
        return np.zeros(3), 1.0
    low = np.min([part[0] for part in parts], axis=0)
    high = np.max([part[1] for part in parts], axis=0)
    radius = float(np.linalg.norm(high - low)) / 2
    return (low + high) / 2, radius if radius > 0 else 1.0


def upright(model: Model, orientations: Mapping[str, int]) -> Array:
    """Return the (3, 3) rotation that turns the arbitrary world frame so that z is up and the cameras look along y.

    People hold cameras level: up is perpendicular to the right-hand side of all photos. Where all of them look the
    same way that leaves a direction open, and the mean of their own ups decides.
    """
    rights, ups, forwards = [], [], []
    for name in sorted(model.images):
        axes = model.images[name].cam_from_world.rotation
        right, up = display_axes(orientations.get(name, 1))
        rights.append(right[0] * axes[0] + right[1] * axes[1])
        ups.append(up[0] * axes[0] + up[1] * axes[1])
        forwards.append(axes[2])
    if not ups:
        return np.eye(3)
    mean_up, ahead = np.mean(ups, axis=0), np.mean(forwards, axis=0)
    level = np.array(rights).T @ np.array(rights) / len(rights)
    _, vectors = np.linalg.eigh(level + 0.1 * (np.eye(3) - np.outer(mean_up, mean_up)))
    # From the air no photo's own up helps: then cameras look down rather than up.
    z = vectors[:, 0] * (1.0 if vectors[:, 0] @ (mean_up - 0.3 * ahead) >= 0 else -1.0)
    ahead = ahead if np.linalg.norm(ahead) > 0.2 else forwards[0]
    y = _unit(ahead - (ahead @ z) * z, fallback=np.cross(z, rights[0]))
    return np.stack([np.cross(y, z), y, z])


def _unit(vector: Array, *, fallback: Array) -> Array:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else fallback / np.linalg.norm(fallback)
