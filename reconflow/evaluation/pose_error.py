"""Errors of rotations and of relative poses, in degrees, and the area under their recall curve."""

from collections.abc import Sequence

import numpy as np

from reconflow.core.arrays import Array

AUC_DEGREES = (1, 3, 5, 10)


def rotation_errors_deg(a: Array, b: Array) -> Array:
    """Angle between rotations (…, 3, 3), in degrees; exact for small angles too, where the arc cosine is not."""
    chord = np.linalg.norm(a - b, axis=(-2, -1)) / np.sqrt(8)
    return np.degrees(2 * np.arcsin(np.clip(chord, 0, 1)))


def direction_errors_deg(a: Array, b: Array) -> Array:
    """Angle between vectors (…, 3), 0 to 180 degrees; 0 where ``b`` is the null vector, 180 where only ``a`` is."""
    cross, dot = np.linalg.norm(np.cross(a, b), axis=-1), np.einsum("...i,...i->...", a, b)
    angles = np.degrees(np.arctan2(cross, dot))
    null_a, null_b = ~a.any(axis=-1), ~b.any(axis=-1)
    return np.where(null_b, 0.0, np.where(null_a, 180.0, angles))


def relative_pose_errors_deg(rotations: Array, centers: Array, true_rotations: Array, true_centers: Array) -> Array:
    """Errors of all N(N−1)/2 relative poses between cameras, shape (N(N−1)/2,), in degrees.

    A pair's error is the larger of the angle between both relative rotations and the angle between both directions of
    translation, as seen from the second camera. Neither depends on the scale or the frame of either side. Rotations
    are (N, 3, 3) ``cam_from_world``, centres (N, 3) in world.
    """
    i, j = np.triu_indices(len(rotations), 1)
    between = rotations[j] @ rotations[i].transpose(0, 2, 1)
    true_between = true_rotations[j] @ true_rotations[i].transpose(0, 2, 1)
    toward = np.einsum("nij,nj->ni", rotations[j], centers[i] - centers[j])
    true_toward = np.einsum("nij,nj->ni", true_rotations[j], true_centers[i] - true_centers[j])
    return np.maximum(rotation_errors_deg(between, true_between), direction_errors_deg(toward, true_toward))


def pose_auc(errors_deg: Array, count: int, limits_deg: Sequence[float] = AUC_DEGREES) -> list[float]:
    """Area under the recall curve up to each limit, 0 to 1, over ``count`` pairs; the missing ones are failures.

    Recall is the step function it is (no interpolation between the sorted errors), so the area is the mean of
    max(0, 1 − error / limit).

    >>> pose_auc(np.array([0.0, 2.5]), 4, [5.0])
    [0.375]
    """
    if len(errors_deg) > count:
        raise ValueError(f"count must be at least the number of errors {len(errors_deg)}, got {count}")
    if count == 0:
        return [0.0] * len(limits_deg)
    return [float(np.clip(1 - errors_deg / limit, 0, 1).sum() / count) for limit in limits_deg]
