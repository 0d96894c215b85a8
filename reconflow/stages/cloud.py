"""A sparse cloud, cleaned and thinned."""

from typing import Any

import numpy as np

from reconflow.config import CloudConfig
from reconflow.core.arrays import Array
from reconflow.core.clouds import PointCloud
from reconflow.core.open3d_library import load_open3d

_FEWEST_FOR_NORMALS = 10
_NORMAL_NEIGHBOURS = 16
_BISECTIONS = 30


def clean_cloud(cloud: PointCloud, *, observations: Array, camera_centers: Array, config: CloudConfig) -> PointCloud:
    """Return the cloud without stray points, thinned to at most ``max_points``, with normals towards the cameras.

    Points seen by fewer than ``min_observations`` photos go first, as long as at least half of the points stay: a
    scene of three photos has mostly pairs. Statistical outlier removal follows, then a voxel grid that is just
    coarse enough.

    Parameters
    ----------
    cloud : PointCloud
        N points.
    observations : array, (N,) int32
        Photos that see each point.
    camera_centers : array, (C, 3) float64
        Camera centres in world units.
    config : CloudConfig
        The limits.

    Raises
    ------
    DependencyError
        If Open3D lacks a system library; the message says what to install.

    """
    well_seen = observations >= config.min_observations
    keep = np.flatnonzero(well_seen) if 2 * well_seen.sum() >= len(cloud) else np.arange(len(cloud))
    points, colors = cloud.points[keep], cloud.colors[keep]
    made = _to_open3d(points, colors)
    if len(points) > config.outlier_neighbours:
        made, _ = made.remove_statistical_outlier(config.outlier_neighbours, config.outlier_std_ratio)
    made = _thinned(made, config.max_points)
    normals = _normals(made, camera_centers) if config.normals else None
    return PointCloud(
        points=np.asarray(made.points),
        colors=(np.asarray(made.colors) * 255).round().astype(np.uint8),
        normals=normals,
    )


def _to_open3d(points: Array, colors: Array) -> Any:
    open3d = load_open3d()
    made = open3d.geometry.PointCloud()
    made.points = open3d.utility.Vector3dVector(np.array(points))
    made.colors = open3d.utility.Vector3dVector(colors / 255.0)
    return made


def _thinned(made: Any, max_points: int) -> Any:
    """Return the cloud on the finest voxel grid that leaves at most ``max_points``."""
    if len(made.points) <= max_points:
        return made
    extent = float(np.linalg.norm(made.get_max_bound() - made.get_min_bound()))
    fine, coarse = 0.0, max(4 * extent, 1e-9)  # a voxel of this size holds every point, wherever the grid begins
    best = made.voxel_down_sample(coarse)
    for _ in range(_BISECTIONS):
        size = (fine + coarse) / 2
        thinner = made.voxel_down_sample(size)
        if len(thinner.points) > max_points:
            fine = size
        else:
            coarse, best = size, thinner
            if len(thinner.points) > 0.95 * max_points:
                break
    return best


def _normals(made: Any, camera_centers: Array) -> Array | None:
    """Return unit normals, each on the side of the nearest camera; ``None`` for too few points to tell."""
    points = np.asarray(made.points)
    if len(points) < _FEWEST_FOR_NORMALS or len(camera_centers) == 0:
        return None
    made.estimate_normals(load_open3d().geometry.KDTreeSearchParamKNN(_NORMAL_NEIGHBOURS))
    normals = np.asarray(made.normals)
    from scipy.spatial import KDTree

    _, nearest = KDTree(camera_centers).query(points)
    away = (normals * (camera_centers[nearest] - points)).sum(axis=1) < 0
    return np.where(away[:, np.newaxis], -normals, normals).astype(np.float32)
