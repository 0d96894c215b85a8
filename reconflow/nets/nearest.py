"""Exact nearest neighbours of descriptors, and the matcher ``ratio`` made of them.

The search is one matrix product in blocks that stay in the cache. uint8 descriptors make every product and sum an
integer below 2²⁴, exact in float32: the result does not depend on the BLAS library or its threads.
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
    a = np.asarray(queries, np.float32)
    b = np.asarray(targets, np.float32)
    # The nearest has the largest a·b − |b|²/2.
    half = 0.5 * np.einsum("nd,nd->n", b, b)
    b_columns = np.ascontiguousarray(b.T)
    best = np.full(len(a), -np.inf, np.float32)
    second = np.full(len(a), -np.inf, np.float32)
    index = np.zeros(len(a), np.int64)
    buffer = np.empty((min(_BLOCK, len(a)), min(_BLOCK, len(b))), np.float32)
    for top in range(0, len(a), _BLOCK):
        rows = slice(top, min(top + _BLOCK, len(a)))
        count = rows.stop - rows.start
        line = np.arange(count)
        for left in range(0, len(b), _BLOCK):
            right = min(left + _BLOCK, len(b))
            scores = buffer[:count, : right - left]
            np.matmul(a[rows], b_columns[:, left:right], out=scores)
            scores -= half[left:right]
            found = scores.argmax(axis=1)
            value = scores[line, found]
            scores[line, found] = -np.inf
            np.maximum(second[rows], np.minimum(best[rows], value), out=second[rows])
            np.maximum(second[rows], scores.max(axis=1), out=second[rows])
            better = value > best[rows]
            index[rows][better] = found[better] + left
            np.maximum(best[rows], value, out=best[rows])
    norms = np.einsum("nd,nd->n", a, a)
    return Nearest(index, np.maximum(norms - 2 * best, 0), np.maximum(norms - 2 * second, 0))


def is_mutual(nearest: Nearest, rows: Array, queries: Array, targets: Array) -> Array:
    """Tell for each of the ``rows`` of ``queries`` whether its nearest target has it as its nearest query in turn."""
    if len(rows) == 0:
        return np.zeros(0, bool)
    wanted, where = np.unique(nearest.index[rows], return_inverse=True)
    back = nearest_two(targets[wanted], queries)
    return back.index[where] == rows


@dataclass(frozen=True)
class RatioMatcher:
    """Mutual nearest neighbours that are clearly nearer than the second nearest."""

    acceptance_inliers: int
    name: str = "ratio"
    weights_sha256: str = ""

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return the mutual nearest neighbours with a distance ratio of at most ``config.ratio``."""
        if len(a) == 0 or len(b) == 0:
            return Matches.none()
        nearest = nearest_two(a.descriptors, b.descriptors)
        rows = np.flatnonzero(nearest.ratio() <= config.ratio)
        rows = rows[is_mutual(nearest, rows, a.descriptors, b.descriptors)]
        return Matches(np.column_stack([rows, nearest.index[rows]]).astype(np.int32))
