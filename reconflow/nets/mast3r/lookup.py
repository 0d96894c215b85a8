"""Keypoints of two photos joined through their dense descriptors.

A keypoint is looked up in the other photo's map, and what is found there is looked up in the first one's. If that
leads back to where it started, the keypoint nearest to the place found is its match. Matches therefore join keypoints
that detectors find in every photo, so that tracks run through many of them, and are as exact as these.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from reconflow.core.arrays import Array
from reconflow.nets.mast3r.reciprocal import nearest_by_dot


@dataclass(frozen=True)
class Reached:
    """Where keypoints of one photo lead in the other: what the device has to say, in arrays of the CPU."""

    rows: Array
    """(N,) int64: the keypoints that lie in the raster."""
    places: Array
    """(N, 2) centres of the pixels reached in the other raster, COLMAP's origin."""
    missed_px: Array
    """(N,) how far the way back misses the keypoint."""
    alike: Array
    """(N,) float32 dot products of the descriptors at both ends."""

    def joined(self, others: KDTree, *, within_px: float) -> tuple[Array, Array]:
        """Return the matches with the other photo's keypoints, and how alike their descriptors are.

        Parameters
        ----------
        others : KDTree
            Of the other photo's keypoints in pixels of its raster, COLMAP's origin.
        within_px : float
            How far the way back may miss, and a keypoint may lie from the place found.

        Returns
        -------
        tuple of array
            (M, 2) int64 rows of both, and (M,) float32 dot products. A row can stand in several matches.

        """
        if len(self.rows) == 0 or others.n == 0:
            return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
        gaps, nearest = others.query(self.places, distance_upper_bound=within_px)
        kept = (self.missed_px <= within_px) & np.isfinite(gaps)
        return np.column_stack([self.rows, nearest])[kept], self.alike[kept]


def reach(first: Tensor, second: Tensor, places: Array) -> Reached:
    """Look keypoints of the first photo up in the second one, and what is found there in the first one.

    Parameters
    ----------
    first, second : Tensor
        (H₁, W₁, D) and (H₂, W₂, D) unit descriptors.
    places : array
        (N, 2) keypoints in pixels of the first raster, COLMAP's origin; those outside are left out.

    """
    height, width = first.shape[:2]
    rows = np.flatnonzero(((places >= 0) & (places < (width, height))).all(axis=1))
    if len(rows) == 0:
        return Reached(rows, np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.float32))
    column, row = np.floor(places[rows]).astype(np.int64).T
    start = torch.from_numpy(row * width + column).to(first.device)
    here, there = first.flatten(0, 1), second.flatten(0, 1)
    queries = here[start]
    reached = nearest_by_dot(queries[None], there[None])[0]
    back = nearest_by_dot(there[reached][None], here[None])[0]
    alike = (queries * there[reached]).sum(dim=-1).cpu().numpy()
    missed = np.linalg.norm(_centres(back, width) - places[rows], axis=1)
    return Reached(rows, _centres(reached, second.shape[1]), missed, alike)


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
