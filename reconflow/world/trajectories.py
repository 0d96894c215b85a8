"""Where cameras stand: poses from positions and targets. The world's z points up."""

from collections.abc import Sequence

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.cameras import Pose


def look_at(center: Array | Sequence[float], target: Array | Sequence[float], *, roll_deg: float = 0.0) -> Pose:
    """Return the pose of a camera at ``center`` that sees ``target`` in its middle, upright but for ``roll_deg``.

    >>> look_at((0, -2, 0), (0, 0, 0)).rotation.round(6) + 0.0
    array([[ 1.,  0.,  0.],
           [ 0.,  0., -1.],
           [ 0.,  1.,  0.]])
    """
    eye = np.asarray(center, np.float64)
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    # Straight down or up there is no upright: then the top of the picture points along y.
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.9999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    roll = np.deg2rad(roll_deg)
    spin = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    rotation = spin @ rotation
    return Pose(rotation, -rotation @ eye)


def arc_poses(
    count: int,
    *,
    radius: float,
    height: float,
    target: Array | Sequence[float],
    from_deg: float,
    to_deg: float,
    jitter: float,
    rng: np.random.Generator,
) -> list[Pose]:
    """Return ``count`` poses evenly along an arc about ``target``; from a full circle the repeated end is left out.

    ``height`` is measured from the target. ``jitter`` is relative to the radius: each camera and each point it looks
    at are displaced by normal deviates of that size, and the horizon tilts by as many tens of degrees per unit.
    """
    target = np.asarray(target, np.float64)
    closed = abs(to_deg - from_deg) >= 360
    poses: list[Pose] = []
    for angle in np.deg2rad(np.linspace(from_deg, to_deg, count, endpoint=not closed)):
        shake = rng.normal(0, jitter * radius, (2, 3))
        offset = np.array([radius * np.cos(angle), radius * np.sin(angle), height])
        roll = float(rng.normal(0, jitter * 50))
        poses.append(look_at(target + offset + shake[0], target + 0.5 * shake[1], roll_deg=roll))
    return poses


def flight_poses(
    count: int, *, height: float, spacing: float, pitch_deg: float, jitter: float, rng: np.random.Generator
) -> list[Pose]:
    """Return ``count`` poses of a survey flight to and fro over the origin, the nose always towards +y.

    ``spacing`` lies between neighbours along and between strips, in world units like ``height`` and ``jitter``;
    ``pitch_deg`` is how far the view dips below the horizon.
    """
    strips = max(1, round(np.sqrt(count / 2)))
    lengths = [len(part) for part in np.array_split(np.arange(count), strips)]
    poses: list[Pose] = []
    dip = np.deg2rad(pitch_deg)
    for strip, length in enumerate(lengths):
        along = (np.arange(length) - (length - 1) / 2) * spacing
        for step in along if strip % 2 == 0 else along[::-1]:
            shake = rng.normal(0, jitter, (2, 3))
            ahead = height / np.tan(dip)
            center = np.array([(strip - (strips - 1) / 2) * spacing * 1.25, step - ahead, height]) + shake[0]
            target = center + np.array([0.0, np.cos(dip), -np.sin(dip)]) * height + shake[1]
            poses.append(look_at(center, target, roll_deg=float(rng.normal(0, 1.0))))
    return poses
