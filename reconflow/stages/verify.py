"""Putative matches → two-view geometry, and whether it counts as evidence of a common scene."""

import math

import numpy as np
import pycolmap

from reconflow.config import VerifyConfig
from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera
from reconflow.core.features import Features
from reconflow.core.matches import Matches, TwoViewGeometry

MADE_WITH = f"verify 1, pycolmap {pycolmap.__version__}"
"""Part of every pair's cache key: the number goes up when equal input gives other output."""
_FEWEST = 8
"""A fundamental matrix needs eight matches."""
_RASTER_PIXELS = 2.0
"""What places on whole pixels of a raster may miss by, in these: 95 of 100 true matches that are off by one stay."""


def verify_pair(
    matches: Matches, a: Features, b: Features, *, cameras: tuple[Camera, Camera], config: VerifyConfig
) -> TwoViewGeometry:
    """Return the relation that explains most matches, by COLMAP's RANSAC over E, F and H.

    The same matches give the same geometry: RANSAC is seeded and runs on one thread. The interpreter lock is
    released meanwhile. Places that are no more exact than the raster they were found in may miss by more than
    keypoints may.
    """
    if len(matches) < _FEWEST:
        return TwoViewGeometry.undefined()
    places_a, places_b = matches.places(a.keypoints, b.keypoints)
    # Only the matched keypoints travel: converting ten thousand of them for fifty matches costs more than RANSAC.
    local = np.repeat(np.arange(len(matches), dtype=np.uint32)[:, np.newaxis], 2, axis=1)
    found = pycolmap.estimate_two_view_geometry(
        cameras[0].to_colmap(),
        places_a.astype(np.float64),
        cameras[1].to_colmap(),
        places_b.astype(np.float64),
        local,
        _options(config, max_error_px=_reach_px(matches, config)),
    )
    rows = np.asarray(found.inlier_matches, np.int64).reshape(-1, 2)[:, 0]
    if _reach_px(matches, config) > config.max_error_px and found.F is not None:
        of_points = (matches.indices[rows] >= (len(a), len(b))).any(axis=1)
        errors = _sampson_px(found.F, places_a[rows], places_b[rows])
        rows = rows[of_points | (errors <= config.max_error_px)]
    if len(rows) == 0:
        return TwoViewGeometry.undefined()
    return TwoViewGeometry(
        configuration=pycolmap.TwoViewGeometryConfiguration(found.config).name,
        inliers=matches.indices[rows],
        fundamental=_matrix(found.F),
        essential=_matrix(found.E),
        homography=_matrix(found.H),
        triangulation_angle_deg=max(0.0, float(np.degrees(found.tri_angle))),
    )


def is_evidence(
    geometry: TwoViewGeometry,
    putative: int,
    *,
    acceptance_inliers: int,
    config: VerifyConfig,
    inliers: int | None = None,
) -> str:
    """Return why a geometry does not show that two photos see the same place; empty where it does.

    Parameters
    ----------
    geometry : TwoViewGeometry
        What verification found.
    putative : int
        Matches it was given.
    acceptance_inliers : int
        The matcher's own level, above what unrelated photos reach by chance; ``config.min_inliers`` overrules it.
    inliers : int, optional
        How many of the geometry's inliers are the matcher's, where several matchers took part; all by default.

    """
    needed = config.min_inliers or acceptance_inliers
    found = len(geometry) if inliers is None else inliers
    if putative < needed:
        return f"{putative} matches, {needed} needed"
    if found < needed:
        return f"{found} inliers, {needed} needed"
    if geometry.configuration in ("WATERMARK", "DEGENERATE"):
        return f"only a {geometry.configuration.lower()} in common"
    if found < config.min_inlier_ratio * putative:
        return f"{found} of {putative} matches agree, {config.min_inlier_ratio:.0%} needed"
    return ""


def _reach_px(matches: Matches, config: VerifyConfig) -> float:
    """Return how far matches may miss what explains them."""
    scales = matches.first.raster_px, matches.second.raster_px
    if not all(scales):
        return config.max_error_px
    # Sampson's error weighs the pixels of both photos by how much they tell: those of the smaller one count for more.
    joint_px = math.sqrt(2 / (scales[0] ** -2 + scales[1] ** -2))
    return max(config.max_error_px, _RASTER_PIXELS * joint_px)


def _sampson_px(fundamental: Array, places_a: Array, places_b: Array) -> Array:
    """Return the (M,) distances of matches from what a fundamental matrix allows."""
    first, second = (np.column_stack([places, np.ones(len(places))]) for places in (places_a, places_b))
    lines_b, lines_a = first @ fundamental.T, second @ fundamental
    slopes = (lines_a[:, :2] ** 2).sum(axis=1) + (lines_b[:, :2] ** 2).sum(axis=1)
    return np.abs((second * lines_b).sum(axis=1)) / np.sqrt(np.maximum(slopes, np.finfo(float).tiny))


def _options(config: VerifyConfig, *, max_error_px: float) -> pycolmap.TwoViewGeometryOptions:
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = _FEWEST
    options.compute_relative_pose = False
    options.ransac.max_error = max_error_px
    options.ransac.confidence = config.confidence
    options.ransac.min_num_trials = 30  # COLMAP's 100 cost a third more on good pairs and find the same inliers
    options.ransac.max_num_trials = config.max_trials
    options.ransac.min_inlier_ratio = config.min_inlier_ratio
    options.ransac.random_seed = config.seed
    options.ransac.num_threads = 1
    return options


def _matrix(matrix: Array | None) -> Array:
    return np.zeros((3, 3)) if matrix is None else np.asarray(matrix, np.float64)
