"""The keypoints of several extractors in one photo, as one set that tracks can share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.features import Features

SAME_PLACE_PX = 1.0
"""Keypoints of different extractors that are no farther apart are one."""


@dataclass(frozen=True)
class FeatureUnion:
    """Features of one photo by extractor, and all of their keypoints in one space of rows."""

    parts: tuple[Features, ...]
    """What each extractor found."""
    features: Features
    """All keypoints, without descriptors; of a single extractor its own features."""
    rows: tuple[Array, ...]
    """For each part the (N,) int32 row in ``features`` of each of its keypoints."""


def unite(parts: Sequence[Features]) -> FeatureUnion:
    """Return the union of what several extractors found in one photo.

    A keypoint within a pixel of an earlier extractor's keypoint is that keypoint; keypoints of one extractor are
    never fused.

    Raises
    ------
    ValueError
        If there is no part, or they are of photos of different sizes.

    """
    if len({part.image_size for part in parts}) != 1:
        raise ValueError(f"parts must be of one photo, got sizes {sorted({part.image_size for part in parts})}")
    rows = [np.arange(len(parts[0]), dtype=np.int32)]
    if len(parts) == 1:
        return FeatureUnion(tuple(parts), parts[0], tuple(rows))
    fresh = [np.ones(len(parts[0]), bool)]
    keypoints = parts[0].keypoints
    for part in parts[1:]:
        known = _rows_at(keypoints, part.keypoints)
        new = known < 0
        known[new] = len(keypoints) + np.arange(int(new.sum()))
        rows.append(known.astype(np.int32))
        fresh.append(new)
        keypoints = np.concatenate([keypoints, part.keypoints[new]])

    def gathered(name: str) -> Array:
        return np.concatenate([getattr(part, name)[new] for part, new in zip(parts, fresh, strict=True)])

    names = ("scales", "orientations", "scores", "colors")
    features = Features(
        keypoints=keypoints,
        descriptors=np.zeros((len(keypoints), 0), np.uint8),
        image_size=parts[0].image_size,
        **{name: gathered(name) for name in names},
    )
    return FeatureUnion(tuple(parts), features, tuple(rows))


def _rows_at(known: Array, places: Array) -> Array:
    """Return for each of (N, 2) places the row of the nearest known keypoint; −1 where it is too far."""
    if len(known) == 0 or len(places) == 0:
        return np.full(len(places), -1, np.int64)
    from scipy.spatial import KDTree

    gaps, rows = KDTree(known).query(places, k=1, distance_upper_bound=np.nextafter(SAME_PLACE_PX, 2))
    return np.where(np.isfinite(gaps), rows, -1)
