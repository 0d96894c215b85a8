"""AdaLAM: matches that agree with an affine map of their neighbourhood.

Cavalli, Larsson, Oswald, Sattler and Pollefeys, "AdaLAM: Revisiting Handcrafted Outlier Detection", ECCV 2020. Seeds
spread over the photo gather the putative matches around them that turn and scale alike; each neighbourhood votes for
an affine map by RANSAC, and a match stays when too many agree too closely for chance. It keeps far more matches than
the ratio test at the same precision, since a match may be ambiguous on its own and still fit its neighbours.

Two things differ from the paper: seeds are found per cell of a grid, and the hypotheses of all neighbourhoods are
scored by one matrix product.
"""

from dataclasses import dataclass

import numpy as np

from reconflow.config import MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.nets.nearest import nearest_two, one_to_one

_DISC_SHARE = 100.0
"""A photo's area over the area of the disc in which there is no second seed."""
_REACH = 4.0
"""Radius of a neighbourhood over the radius of that disc."""
_MAX_TURN_DEG = 30.0
_MAX_SCALING = 1.5
_HYPOTHESES = 64
_VOTERS = 128
"""Members that score hypotheses: the most distinctive ones of a neighbourhood."""
_MIN_MEMBERS = 6
_MIN_CONFIDENCE = 200.0
"""How many times more inliers there are within a residual than matches spread evenly over the disc would give."""
_REFITS = 2
_SEED = 4_211


@dataclass(frozen=True)
class AdalamMatcher:
    """Nearest neighbours filtered by local affine consistency."""

    acceptance_inliers: int
    name: str = "adalam"
    made_with: str = "adalam 1"

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return the locally consistent nearest neighbours; seeds also pass ``config.ratio`` and the cross-check."""
        if len(a) < _MIN_MEMBERS or len(b) < _MIN_MEMBERS:
            return Matches.none()
        nearest = nearest_two(a.descriptors, b.descriptors)
        ratio = nearest.ratio()
        rows = np.argsort(ratio, kind="stable")
        columns = nearest.index[rows]
        seedable = nearest.mutual[rows] & (ratio[rows] <= config.ratio)
        kept = consistent(Putative.of(a, b, rows, columns), seedable)
        return one_to_one(a, b, np.column_stack([rows, columns])[kept])


@dataclass(frozen=True)
class Putative:
    """N putative matches, the most distinctive first."""

    first: Array
    """(N, 2) float32: position in the first photo from its centre, over the radius of a neighbourhood there."""
    second: Array
    """(N, 2) float32: the same in the second photo."""
    turn: Array
    """(N,) float32: radians by which the keypoint turns from the first photo to the second."""
    log_scaling: Array
    """(N,) float32: natural logarithm of the keypoint's scale in the second photo over that in the first."""

    @classmethod
    def of(cls, a: Features, b: Features, rows: Array, columns: Array) -> "Putative":
        """Gather the matches between keypoints ``rows`` of ``a`` and ``columns`` of ``b``."""
        return cls(
            first=_local(a, rows),
            second=_local(b, columns),
            turn=b.orientations[columns] - a.orientations[rows],
            log_scaling=np.log(b.scales[columns] / a.scales[rows]),
        )

    def __len__(self) -> int:
        return len(self.first)


def consistent(putative: Putative, seedable: Array) -> Array:
    """Return which (N,) bool of the matches agree with an affine map of some seed's neighbourhood."""
    kept = np.zeros(len(putative), bool)
    seeds = _spread(putative.first, np.flatnonzero(seedable))
    near = _neighbourhoods(putative, seeds)
    enough = near.sum(axis=1) >= _MIN_MEMBERS
    seeds, near = seeds[enough], near[enough]
    if len(seeds) == 0:
        return kept
    members, valid = _padded(near)
    x = putative.first[members] - putative.first[seeds, None]
    y = putative.second[members] - putative.second[seeds, None]
    start = _best_hypothesis(x[:, :_VOTERS], y[:, :_VOTERS], valid[:, :_VOTERS])
    inliers = _refined(x, y, valid, start)
    kept[members[inliers]] = True
    return kept


def _local(features: Features, rows: Array) -> Array:
    width, height = features.image_size
    radius = _REACH * np.sqrt(width * height / (np.pi * _DISC_SHARE))
    centre = np.array([width / 2, height / 2], np.float32)
    return (features.keypoints[rows] - centre) / np.float32(radius)


def _spread(points: Array, candidates: Array) -> Array:
    """Return the candidates that come first in their cell of a grid, and in the disc around them among such ones."""
    cells = np.floor(points[candidates] * np.float32(_REACH * np.sqrt(2))).astype(np.int64)
    _, firsts = np.unique(cells[:, 0] * 65_536 + cells[:, 1], return_index=True)
    seeds = candidates[np.sort(firsts)]
    gaps = points[seeds, None] - points[None, seeds]
    close = np.einsum("stk,stk->st", gaps, gaps) < 1 / _REACH**2
    return seeds[~np.tril(close, -1).any(axis=1)]


def _neighbourhoods(putative: Putative, seeds: Array) -> Array:
    """Return which (S, N) bool matches lie near each seed in both photos and turn and scale as it does."""
    turns = np.column_stack([np.cos(putative.turn), np.sin(putative.turn)])
    near = turns[seeds] @ turns.T >= np.float32(np.cos(np.deg2rad(_MAX_TURN_DEG)))
    near &= np.abs(putative.log_scaling - putative.log_scaling[seeds, None]) <= np.float32(np.log(_MAX_SCALING))
    for points in (putative.first, putative.second):
        square = np.einsum("nk,nk->n", points, points)
        near &= points[seeds] @ points.T >= 0.5 * (square[seeds, None] + square - np.float32(1))
    return near


def _padded(near: Array) -> tuple[Array, Array]:
    """Turn an (S, N) mask into (S, K) member indices, in order, and which of them are real."""
    counts = near.sum(axis=1)
    seed, member = np.nonzero(near)
    column = np.arange(len(seed)) - np.repeat(np.cumsum(counts) - counts, counts)
    members = np.zeros((len(near), int(counts.max())), np.int64)
    members[seed, column] = member
    valid = np.arange(members.shape[1]) < counts[:, None]
    return members, valid


def _best_hypothesis(x: Array, y: Array, valid: Array) -> Array:
    """Return for each of S neighbourhoods the (S, 2, 2) affine map with the smallest truncated residuals."""
    maps = _affine_from_pairs(x, y, valid)
    # |A x − y|² is linear in eight products of A's entries, so one matrix product gives all residuals.
    a, b, c, d = (maps[:, :, i, j] for i in (0, 1) for j in (0, 1))
    weights = np.stack(
        [a * a + c * c, 2 * (a * b + c * d), b * b + d * d, -2 * a, -2 * b, -2 * c, -2 * d, np.ones_like(a)], axis=2
    )
    p, q, u, v = x[:, :, 0], x[:, :, 1], y[:, :, 0], y[:, :, 1]
    terms = np.stack([p * p, p * q, q * q, p * u, q * u, p * v, q * v, u * u + v * v], axis=1)
    terms[:, 7][~valid] = np.float32(1e3)
    residuals = np.matmul(weights, terms)
    np.minimum(residuals, np.float32(1 / _MIN_CONFIDENCE), out=residuals)
    best = residuals.sum(axis=2).argmin(axis=1)
    return maps[np.arange(len(maps)), best]


def _affine_from_pairs(x: Array, y: Array, valid: Array) -> Array:
    """Return (S, H, 2, 2) maps, each through two sampled members; distinctive ones are drawn first, as in PROSAC."""
    rng = np.random.default_rng(_SEED)
    draws = rng.random((2, _HYPOTHESES), np.float32)
    counts = valid.sum(axis=1)
    share = np.linspace(0.1, 1.0, _HYPOTHESES, dtype=np.float32)
    pool = np.clip(np.ceil(share * counts[:, None]), np.minimum(counts, _MIN_MEMBERS)[:, None], None).astype(np.int64)
    i = (draws[0] * pool).astype(np.int64)
    j = (i + 1 + (draws[1] * (pool - 1)).astype(np.int64)) % pool
    line = np.arange(len(x))[:, None]
    from_two = np.stack([x[line, i], x[line, j]], axis=3)
    to_two = np.stack([y[line, i], y[line, j]], axis=3)
    return np.matmul(to_two, _inverse(from_two))


def _inverse(matrices: Array) -> Array:
    """Invert (…, 2, 2) matrices; those of nearly dependent columns become zero."""
    a, b, c, d = (matrices[..., i, j] for i in (0, 1) for j in (0, 1))
    determinant = a * d - b * c
    usable = np.abs(determinant) > 1e-6
    factor = np.where(usable, 1 / np.where(usable, determinant, 1), 0)
    return np.stack([np.stack([d, -b], axis=-1), np.stack([-c, a], axis=-1)], axis=-2) * factor[..., None, None]


def _refined(x: Array, y: Array, valid: Array, maps: Array) -> Array:
    """Return the (S, K) inliers after refitting each map to its own; none where they are too few."""
    inliers = _beyond_chance(x, y, valid, maps)
    for _ in range(_REFITS):
        weighted = x * inliers[:, :, None]
        spread = np.matmul(weighted.transpose(0, 2, 1), x)
        moved = np.matmul(y.transpose(0, 2, 1), weighted)
        refit = np.matmul(moved, _inverse(spread))
        again = _beyond_chance(x, y, valid, refit)
        better = again.sum(axis=1) >= inliers.sum(axis=1)
        inliers = np.where(better[:, None], again, inliers)
    inliers[inliers.sum(axis=1) < _MIN_MEMBERS] = False
    return inliers


def _beyond_chance(x: Array, y: Array, valid: Array, maps: Array) -> Array:
    """Return which members lie within the largest residual that holds far more of them than chance would.

    Were all members spread evenly over the disc, a share r² of them would lie within r.
    """
    gaps = np.matmul(x, maps.transpose(0, 2, 1)) - y
    residuals = np.einsum("skc,skc->sk", gaps, gaps)
    residuals[~valid] = np.inf
    ordered = np.sort(residuals, axis=1)
    counts = valid.sum(axis=1, keepdims=True)
    rank = np.arange(1, residuals.shape[1] + 1, dtype=np.float32)
    sure = rank >= _MIN_CONFIDENCE * counts * ordered
    last = residuals.shape[1] - 1 - sure[:, ::-1].argmax(axis=1)
    limit = np.where(sure.any(axis=1), ordered[np.arange(len(ordered)), last], -1)
    return residuals <= limit[:, None]
