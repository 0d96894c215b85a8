"""The similarity that most camera centres agree with, found by trying every triplet.

All C(n, 3) triplets are aligned in closed form. Each one's inliers at each threshold are refitted, and per threshold
the refit with most inliers wins; ties go to the smaller sum of squared distances over all points. Time grows with
n⁴ (every triplet against every point), memory does not grow: triplets are numbered, not listed, and the record of
inlier sets already refitted is a table of fixed size that may forget.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from reconflow.core.arrays import Array
from reconflow.evaluation.similarity import Correspondences, Similarity, align_similarity

MIN_CENTERS = 3
"""Centres a similarity needs."""

_CELLS = 1 << 19
"""Distances computed at a time (4 MiB), so that one batch stays in the processor's cache."""

_TABLE_BITS = 20

_TIGHT = 1e-7
"""Squared thresholds below this, for points of median distance 1, need squared distances without cancellation."""


@dataclass(frozen=True)
class Consensus:
    """Per threshold the best similarity (or None) and how far each centre is from its place then.

    ``errors`` is (N, thresholds) in the target's unit, infinite where nothing was found.
    """

    similarities: tuple[Similarity | None, ...]
    errors: Array

    @property
    def loosest(self) -> int | None:
        """Index of the last threshold at which a similarity was found."""
        found = [index for index, similarity in enumerate(self.similarities) if similarity is not None]
        return found[-1] if found else None


def register_centers(source: Array, target: Array, thresholds: Sequence[float]) -> Consensus:
    """Align camera centres ``source`` to ``target``, both finite (N, 3), once per threshold (in the target's unit)."""
    errors = np.full((len(source), len(thresholds)), np.inf)
    nothing = Consensus((None,) * len(thresholds), errors)
    if len(source) < MIN_CENTERS:
        return nothing
    a, _ = _normalized(source)
    b, unit_b = _normalized(target)
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return nothing
    search = _Search(Correspondences.of(a, b), (np.asarray(thresholds, np.float64) / unit_b) ** 2)
    batch = max(256, _CELLS // len(source))
    for triplets in triplet_batches(len(source), batch):
        for masks in search.inlier_sets(triplets):
            search.consider(masks)
    similarities: list[Similarity | None] = []
    for index, best in enumerate(search.best):
        similarity = None if best is None else align_similarity(source, target, best.mask.astype(np.float64))
        if similarity is not None:
            errors[:, index] = np.linalg.norm(similarity.apply(source) - target, axis=1)
        similarities.append(similarity)
    return Consensus(tuple(similarities), errors)


def triplet_batches(count: int, batch: int) -> Iterator[Array]:
    """Yield all triplets i < j < k < count as index arrays (≤ batch, 3), by their number in colexicographic order."""
    n = np.arange(count + 1, dtype=np.int64)
    pairs, triples = n * (n - 1) // 2, n * (n - 1) * (n - 2) // 6
    for start in range(0, int(triples[-1]), batch):
        number = np.arange(start, min(start + batch, int(triples[-1])), dtype=np.int64)
        k = np.searchsorted(triples, number, side="right") - 1
        rest = number - triples[k]
        j = np.searchsorted(pairs, rest, side="right") - 1
        yield np.column_stack([rest - pairs[j], j, k])


def _normalized(points: Array) -> tuple[Array, float]:
    """Centre and scale by medians, so that a few cameras far away do not cost the others their digits."""
    shifted = points - np.median(points, axis=0)
    distances = np.linalg.norm(shifted, axis=1)
    unit = float(np.median(distances)) or float(distances.max())
    return (shifted / unit if unit > 0 else np.full_like(points, np.nan)), unit


@dataclass(frozen=True)
class _Best:
    inliers: int
    total: float
    mask: Array


@dataclass
class _Search:
    """The best refit per threshold so far, and which inlier sets were refitted already."""

    points: Correspondences
    squared_thresholds: Array
    best: list[_Best | None] = field(init=False)
    _known: Array = field(init=False)
    _factors: Array = field(init=False)

    def __post_init__(self) -> None:
        self.best = [None] * len(self.squared_thresholds)
        self._known = np.zeros(1 << _TABLE_BITS, np.uint64)
        words = -(-len(self.points.source) // 64)
        factors = np.random.default_rng(20250401).integers(1, 1 << 63, size=words, dtype=np.uint64)
        self._factors = factors | np.uint64(1)

    def inlier_sets(self, triplets: Array) -> Iterator[Array]:
        """Yield the inlier sets of the triplets' similarities that are new, as boolean masks (≤ len(triplets), N)."""
        count = len(self.points.source)
        distances = self._squared_distances(*self.points.align_triplets(triplets))
        sets = np.concatenate([_packed(distances < limit) for limit in self.squared_thresholds])
        sets = sets[np.bitwise_count(sets).sum(1) >= MIN_CENTERS]
        sets = sets[self._fresh(sets)]
        for start in range(0, len(sets), len(triplets)):
            part = np.ascontiguousarray(sets[start : start + len(triplets)])
            yield np.unpackbits(part.view(np.uint8), axis=1, count=count)

    def consider(self, masks: Array) -> None:
        """Refit the inlier sets, masks (B, N), and keep what is better at any threshold."""
        distances = self._squared_distances(*self.points.align_subsets(masks.astype(np.float64)))
        total = distances.sum(1)
        total[np.isnan(total)] = np.inf
        for index, limit in enumerate(self.squared_thresholds):
            inliers = np.bitwise_count(_packed(distances < limit)).sum(1)
            most = int(inliers.max(initial=0))
            best = self.best[index]
            if most == 0 or (best is not None and most < best.inliers):
                continue
            tied = np.flatnonzero(inliers == most)
            row = int(tied[np.argmin(total[tied])])
            if best is None or most > best.inliers or total[row] < best.total:
                self.best[index] = _Best(most, float(total[row]), masks[row])

    def _squared_distances(self, linear: Array, shift: Array) -> Array:
        """(B, N) squared distances of the mapped source points to their targets; NaN where there is no similarity."""
        if self.squared_thresholds.min() < _TIGHT:
            return self._careful_squared_distances(linear, shift)
        # |La + t − b|² is linear in the moments of a and b: one matrix product, at the price of digits that only
        # thresholds far below the points' spread would notice.
        coefficients = np.empty((shift.shape[1], self.points.moments.shape[1]))
        coefficients[:, 0] = (shift * shift).sum(0)
        coefficients[:, 1:4] = 2 * (linear * shift[:, None]).sum(0).T
        coefficients[:, 4:7] = -2 * shift.T
        coefficients[:, 7:16] = -2 * linear.reshape(9, -1).T
        coefficients[:, 16] = (linear[0] * linear[0]).sum(0)
        coefficients[:, 17] = 1
        return coefficients @ self.points.moments.T

    def _careful_squared_distances(self, linear: Array, shift: Array) -> Array:
        """Return the same from the residuals themselves."""
        source, target = self.points.source, self.points.target
        coefficients = np.empty((shift.shape[1], 5))
        coefficients[:, 4] = -1
        features = np.vstack([source.T, np.ones(len(source)), target[:, 0]])
        distances = np.zeros((shift.shape[1], len(source)))
        offset = np.empty_like(distances)
        for axis in range(3):
            coefficients[:, :3] = linear[axis].T
            coefficients[:, 3] = shift[axis]
            features[4] = target[:, axis]
            np.matmul(coefficients, features, out=offset)
            offset *= offset
            distances += offset
        return distances

    def _fresh(self, sets: Array) -> Array:
        """Indices of the sets not seen before. The table may forget some, which costs time and changes nothing."""
        keys = np.zeros(len(sets), np.uint64)
        for word, factor in zip(sets.T, self._factors, strict=True):
            keys = (keys ^ word) * factor
            keys ^= keys >> np.uint64(29)
        slots = (keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _TABLE_BITS)
        new = np.flatnonzero(self._known[slots] != keys)
        self._known[slots[new]] = keys[new]
        _, first = np.unique(keys[new], return_index=True)
        return new[np.sort(first)]


def _packed(masks: Array) -> Array:
    """Boolean masks (B, N) as rows of 64-bit words."""
    packed = np.packbits(masks, axis=1)
    words = np.zeros((len(masks), -(-masks.shape[1] // 64) * 8), np.uint8)
    words[:, : packed.shape[1]] = packed
    return words.view(np.uint64)
