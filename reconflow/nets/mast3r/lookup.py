"""Keypoints of two photos joined through their dense descriptors.

A keypoint is looked up in the other photo's map, and what is found there is looked up in the first one's. If that
leads back to where it started, the keypoint nearest to the place found is its match. Matches therefore join keypoints
that detectors find in every photo, so that tracks run through many of them, and are as exact as these.
"""

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from reconflow.core.arrays import Array
from reconflow.nets.mast3r.reciprocal import nearest_by_dot


def look_up(first: Tensor, second: Tensor, places: Array, others: Array, *, within_px: float) -> tuple[Array, Array]:
    """Return the matches that the keypoints of the first photo lead to, and how alike their descriptors are.

    Parameters
    ----------
    first, second : Tensor
        (H₁, W₁, D) and (H₂, W₂, D) unit descriptors.
    places, others : array
        (N₁, 2) and (N₂, 2) keypoints in pixels of the two rasters, COLMAP's origin; those outside are left out.
    within_px : float
        How far the way back may miss, and a keypoint may lie from the place found.

    Returns
    -------
    tuple of array
        (M, 2) int64 rows of both, and (M,) float32 dot products. A row can stand in several matches.

    """
    height, width = first.shape[:2]
    rows = np.flatnonzero(((places >= 0) & (places < (width, height))).all(axis=1))
    if len(rows) == 0 or len(others) == 0:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    column, row = np.floor(places[rows]).astype(np.int64).T
    start = torch.from_numpy(row * width + column).to(first.device)
    here, there = first.flatten(0, 1), second.flatten(0, 1)
    queries = here[start]
    reached = nearest_by_dot(queries[None], there[None])[0]
    back = nearest_by_dot(there[reached][None], here[None])[0]
    alike = (queries * there[reached]).sum(dim=-1).cpu().numpy()
    missed = np.linalg.norm(_centres(back, width) - places[rows], axis=1)
    gaps, nearest = KDTree(others).query(_centres(reached, second.shape[1]), distance_upper_bound=within_px)
    kept = (missed <= within_px) & np.isfinite(gaps)
    return np.column_stack([rows, nearest])[kept], alike[kept]


def by_agreement(candidates: list[tuple[Array, Array]]) -> Array:
    """Return the (M, 2) int64 matches of several look-ups, each once, the most trusted first.

    Those found more often come first, and among them those whose descriptors are more alike.
    """
    pairs = np.concatenate([rows for rows, _ in candidates])
    alike = np.concatenate([values for _, values in candidates])
    unique, member, votes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    best = np.full(len(unique), -np.inf)
    np.maximum.at(best, member.ravel(), alike)
    return unique[np.lexsort((-best, -votes))]


def _centres(pixels: Tensor, width: int) -> Array:
    flat = pixels.cpu().numpy()
    return np.column_stack([flat % width, flat // width]) + 0.5
