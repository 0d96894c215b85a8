"""Similarity transforms between two sets of points, one by one and in batches.

The rotation is the least-squares one; the scale is the ratio of the RMS spreads (Horn 1987), which makes the alignment
symmetric: the inverse of source → target is target → source.
"""

from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array, checked

_ILL_CONDITIONED = 1e-3
"""Below this the closed form of a rotation loses digits (near collinear points) and the SVD is used instead."""

_NEWTON_STEPS = 60
_NO_SPREAD = 1e-14
"""A subset with less squared spread than this per point of the whole set (of spread about 1) has no scale."""


@dataclass(frozen=True)
class Similarity:
    """``x_target = scale · rotation @ x_source + translation``."""

    scale: float
    rotation: Array
    """(3, 3) float64."""
    translation: Array
    """(3,) float64, in the target's unit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rotation", checked("rotation", self.rotation, (3, 3), np.float64))
        object.__setattr__(self, "translation", checked("translation", self.translation, (3,), np.float64))

    def apply(self, points: Array) -> Array:
        """Map points of the source, shape (N, 3) or (3,), to the target."""
        return self.scale * (points @ self.rotation.T) + self.translation


def align_similarity(source: Array, target: Array, weights: Array | None = None) -> Similarity:
    """Return the similarity that maps ``source`` onto ``target``, both (N, 3), with optional weights (N,) ≥ 0.

    Raises
    ------
    ValueError
        If the shapes differ or the weighted source is a single point, so that no scale exists.

    Examples
    --------
    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    >>> align_similarity(corners, 2 * corners + 5).scale
    2.0

    """
    a = checked("source", source, ("N", 3), np.float64)
    b = checked("target", target, (len(a), 3), np.float64)
    w = np.ones(len(a)) if weights is None else checked("weights", weights, (len(a),), np.float64)
    total = float(w.sum())
    if total <= 0:
        raise ValueError(f"weights must have a positive sum, got {total} over {len(a)} points")
    mean_a, mean_b = w @ a / total, w @ b / total
    a, b = a - mean_a, b - mean_b
    spread_a, spread_b = float(w @ (a * a).sum(1)), float(w @ (b * b).sum(1))
    if not spread_a > 0:
        raise ValueError(f"source must have a spread to fix the scale, got {len(a)} coinciding points")
    rotation = _rotations_by_svd(((b * w[:, None]).T @ a)[None])[0]
    scale = float(np.sqrt(spread_b / spread_a))
    return Similarity(scale, rotation, mean_b - scale * (rotation @ mean_a))


@dataclass(frozen=True)
class Correspondences:
    """Points to be aligned many times by subsets: ``source`` and ``target`` (N, 3), already of moderate size.

    Centre and scale both so that the bulk of the points is near the origin with a spread about 1: moments of subsets
    are taken from sums over the points, which would lose digits far away from the origin.
    """

    source: Array
    target: Array
    moments: Array
    """(N, 18): 1, source, target, target ⊗ source, |source|², |target|² of every point."""
    no_spread: float

    @classmethod
    def of(cls, source: Array, target: Array) -> "Correspondences":
        """Prepare points (N, 3)."""
        outer = (target[:, :, None] * source[:, None, :]).reshape(-1, 9)
        squares = np.column_stack([(source**2).sum(1), (target**2).sum(1)])
        moments = np.column_stack([np.ones(len(source)), source, target, outer, squares])
        return cls(source, target, moments, _NO_SPREAD * len(source))

    def align_triplets(self, triplets: Array) -> tuple[Array, Array]:
        """Align subsets of three points, indices (B, 3); see `align_subsets` for the result."""
        a = np.ascontiguousarray(self.source.T[:, triplets.T])  # (3 axes, 3 points, B)
        b = np.ascontiguousarray(self.target.T[:, triplets.T])
        mean_a, mean_b = a.sum(1) / 3, b.sum(1) / 3
        a -= mean_a[:, None]
        b -= mean_b[:, None]
        covariance = b[:, None, 0] * a[None, :, 0] + b[:, None, 1] * a[None, :, 1] + b[:, None, 2] * a[None, :, 2]
        return self._solve(covariance, (a * a).sum((0, 1)), (b * b).sum((0, 1)), mean_a, mean_b)

    def align_subsets(self, masks: Array) -> tuple[Array, Array]:
        """Align subsets, masks (B, N) of zeros and ones as float64.

        Returns
        -------
        tuple of Array
            Scaled rotations (3, 3, B) and translations (3, B), NaN where the subset is one point.

        """
        sums = (masks @ self.moments).T
        mean_a, mean_b = sums[1:4] / sums[0], sums[4:7] / sums[0]
        covariance = sums[7:16].reshape(3, 3, -1) - sums[0] * mean_b[:, None] * mean_a[None]
        spread_a = sums[16] - sums[0] * (mean_a**2).sum(0)
        spread_b = sums[17] - sums[0] * (mean_b**2).sum(0)
        return self._solve(covariance, spread_a, spread_b, mean_a, mean_b)

    def _solve(
        self, covariance: Array, spread_a: Array, spread_b: Array, mean_a: Array, mean_b: Array
    ) -> tuple[Array, Array]:
        spread_b = np.maximum(spread_b, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(spread_a > self.no_spread, np.sqrt(spread_b / spread_a), np.nan)
        linear = scale * rotations(covariance, np.sqrt(np.maximum(spread_a, 0) * spread_b))
        shift = mean_b - (linear[:, 0] * mean_a[0] + linear[:, 1] * mean_a[1] + linear[:, 2] * mean_a[2])
        return linear, shift


def rotations(covariance: Array, bound: Array) -> Array:
    """Return the rotations R that maximise trace(Rᵀ · covariance), both (3, 3, B).

    The closed form of Markley, "Attitude determination using vector observations: a fast optimal matrix algorithm"
    (1993): the largest root of a quartic by Newton's method from above, then a polynomial in the matrix. Where two
    singular values nearly cancel it is ill-conditioned and the SVD takes over.

    Parameters
    ----------
    covariance : Array
        Σ target · sourceᵀ of centred points, (3, 3, B).
    bound : Array
        An upper bound (B,) of the sum of the singular values: the product of both RMS spreads.

    """
    with np.errstate(divide="ignore", invalid="ignore"):
        S = covariance / bound
        cofactors = np.stack([_cross(S[1], S[2]), _cross(S[2], S[0]), _cross(S[0], S[1])])
        determinant = (S[0] * cofactors[0]).sum(0)
        norm2 = (S * S).sum((0, 1))
        constant = norm2 * norm2 - 4 * (cofactors * cofactors).sum((0, 1))
        largest = _largest_root(norm2, determinant, constant)
        kappa = (largest * largest - norm2) / 2
        zeta = kappa * largest - determinant
        R = ((kappa + norm2) * S + largest * cofactors - _product(_product(S, S, transposed=True), S)) / zeta
        weak = ~(zeta > _ILL_CONDITIONED * largest**3)
    if weak.any():
        R[:, :, weak] = _rotations_by_svd(np.nan_to_num(covariance[:, :, weak]).transpose(2, 0, 1)).transpose(1, 2, 0)
    return R


def _largest_root(norm2: Array, determinant: Array, constant: Array) -> Array:
    """Largest root of x⁴ − 2·norm2·x² − 8·determinant·x + constant, all of whose roots are real and at most 1."""
    root = np.ones_like(norm2)
    for _ in range(_NEWTON_STEPS):
        square = root * root
        value = square * (square - 2 * norm2) - 8 * determinant * root + constant
        step = value / (4 * (root * (square - norm2) - 2 * determinant))
        root = root - step
        # Ill-conditioned members never settle and are replaced by the SVD, so only large steps count.
        if not (np.abs(step) > 1e-9).any():
            break
    return root


def _cross(u: Array, v: Array) -> Array:
    return np.stack([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])


def _product(u: Array, v: Array, *, transposed: bool = False) -> Array:
    """Matrix products u · v (or u · vᵀ) of stacks (3, 3, B)."""
    v = v.transpose(1, 0, 2) if transposed else v
    return u[:, 0, None] * v[None, 0] + u[:, 1, None] * v[None, 1] + u[:, 2, None] * v[None, 2]


def _rotations_by_svd(covariance: Array) -> Array:
    """Rotations (B, 3, 3) that maximise trace(Rᵀ · covariance)."""
    U, _, Vt = np.linalg.svd(covariance)
    U[:, :, 2] *= np.sign(np.linalg.det(U) * np.linalg.det(Vt))[:, None]
    return U @ Vt
