"""Exact nearest neighbours of descriptors, and the matcher ``ratio`` made of them.

The search is one matrix product in blocks that stay in the cache, and serves both directions. uint8 descriptors make
every product and sum a multiple of ½ below 2²³, exact in float32: the result depends neither on the BLAS library nor
on its threads.
"""

from dataclasses import dataclass

import numpy as np

from reconflow.config import MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.matches import Matches

_BLOCK = 1024


@dataclass(frozen=True)
class Nearest:
    """For each of N descriptors its nearest one among others."""

    index: Array
    """(N,) int64: row of the nearest."""
    distance: Array
    """(N,) float32: squared Euclidean distance to it."""
    second: Array
    """(N,) float32: squared distance to the second nearest; infinite where there is none."""
    mutual: Array
    """(N,) bool: nothing is nearer to the nearest in turn."""

    def ratio(self) -> Array:
        """Return (N,) float32 distance ratios, nearest to second nearest: 0 is distinctive, 1 is ambiguous."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.sqrt(self.distance / self.second)
        return np.where(np.isnan(ratio), np.float32(1), ratio)


def nearest_two(queries: Array, targets: Array) -> Nearest:
    """Find the nearest of (M, D) ``targets`` for each of (N, D) ``queries``, and how far the second nearest is.

    Of equally near ones the first counts.

    Raises
    ------
    ValueError
        If there is no target.

    """
    if len(targets) == 0:
        raise ValueError("targets must not be empty")
    rows = _extended(queries, half_at=-2)
    columns = np.ascontiguousarray(_extended(targets, half_at=-1).T)
    best = np.full(len(rows), -np.inf, np.float32)
    second = best.copy()
    index = np.zeros(len(rows), np.int64)
    best_of_column = np.full(len(targets), -np.inf, np.float32)
    for top in range(0, len(rows), _BLOCK):
        part = slice(top, min(top + _BLOCK, len(rows)))
        line = np.arange(part.stop - top)
        for left in range(0, len(targets), _BLOCK):
            side = slice(left, left + _BLOCK)
            scores = rows[part] @ columns[:, side]
            np.maximum(best_of_column[side], scores.max(axis=0), out=best_of_column[side])
            found = scores.argmax(axis=1)
            value = scores[line, found]
            scores[line, found] = -np.inf
            runner_up = np.maximum(scores.max(axis=1), np.minimum(best[part], value))
            np.maximum(second[part], runner_up, out=second[part])
            index[part] = np.where(value > best[part], found + left, index[part])
            np.maximum(best[part], value, out=best[part])
    return Nearest(index, _distance(best), _distance(second), best == best_of_column[index])


def _extended(descriptors: Array, *, half_at: int) -> Array:
    """Append 1 and −|d|²/2, so that the product of a row and a column is minus half their squared distance."""
    values = np.asarray(descriptors, np.float32)
    extended = np.empty((len(values), values.shape[1] + 2), np.float32)
    extended[:, :-2] = values
    extended[:, -2:] = 1
    extended[:, half_at] = -0.5 * np.einsum("nd,nd->n", values, values)
    return extended


def _distance(score: Array) -> Array:
    return np.maximum(-2 * score, 0)


@dataclass(frozen=True)
class RatioMatcher:
    """Mutual nearest neighbours that are clearly nearer than the second nearest."""

    acceptance_inliers: int
    name: str = "ratio"
    made_with: str = "ratio 1"

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return the mutual nearest neighbours with a distance ratio of at most ``config.ratio``."""
        if len(a) == 0 or len(b) == 0:
            return Matches.none()
        nearest = nearest_two(a.descriptors, b.descriptors)
        ratio = nearest.ratio()
        rows = np.flatnonzero(nearest.mutual & (ratio <= config.ratio))
        rows = rows[np.argsort(ratio[rows], kind="stable")]
        return one_to_one(a, b, np.column_stack([rows, nearest.index[rows]]))


def one_to_one(a: Features, b: Features, pairs: Array) -> Matches:
    """Keep of (M, 2) ``pairs`` that share a place in either photo the first, and order them by ``a``'s keypoints.

    A place with several orientations is several keypoints. All of them are given by the first one's index, so that
    a track does not fall into one per orientation.
    """
    pairs = np.column_stack([_first_at_place(a)[pairs[:, 0]], _first_at_place(b)[pairs[:, 1]]])
    for side in (0, 1):
        _, firsts = np.unique(pairs[:, side], return_index=True)
        pairs = pairs[np.sort(firsts)]
    return Matches(pairs[np.argsort(pairs[:, 0])].astype(np.int32))


def _first_at_place(features: Features) -> Array:
    """Return for each keypoint the smallest index of a keypoint with the same coordinates."""
    places = features.keypoints.view(np.int64)[:, 0]
    _, firsts, place = np.unique(places, return_index=True, return_inverse=True)
    return firsts[place]
