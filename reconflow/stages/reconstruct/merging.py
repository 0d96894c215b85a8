"""Points of single pairs → keypoints that pairs share, so that a track can run through many photos.

A dense matcher places its points freely, a little differently in every pair. Points of a photo that fall into one cell
of a grid become one keypoint at their mean; a point that all but hits a detector's keypoint becomes that keypoint.
This depends on which pairs there are, so it happens when a scene is mapped and is stored nowhere.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from reconflow.core.arrays import Array
from reconflow.core.matches import Points
from reconflow.stages.reconstruct.views import View, ViewPair

_SNAP = 0.25
"""Distance to a keypoint, in cells, below which a point becomes that keypoint."""


def merge_points(views: Sequence[View], pairs: Sequence[ViewPair], *, cells: int) -> tuple[list[View], list[ViewPair]]:
    """Return the views with the pairs' own points among their keypoints, and the pairs in terms of these.

    A pair never uses a keypoint twice: what would be a second match of it is dropped.
    """
    if not any(len(pair.first_points) or len(pair.second_points) for pair in pairs):
        return list(views), list(pairs)
    brought: list[list[Points]] = [[] for _ in views]
    for pair in pairs:
        brought[pair.first].append(pair.first_points)
        brought[pair.second].append(pair.second_points)
    merged_views: list[View] = []
    rows_of: list[list[Array]] = []
    for view, points in zip(views, brought, strict=True):
        merged, rows = _merge_view(view, points, cell_px=max(view.camera.width, view.camera.height) / cells)
        merged_views.append(merged)
        rows_of.append(rows[::-1])
    merged_pairs: list[ViewPair] = []
    for pair in pairs:
        rows = (rows_of[pair.first].pop(), rows_of[pair.second].pop())
        counts = (len(views[pair.first].keypoints), len(views[pair.second].keypoints))
        merged_pairs.append(_renumbered(pair, rows, counts))
    return merged_views, merged_pairs


def _merge_view(view: View, brought: Sequence[Points], *, cell_px: float) -> tuple[View, list[Array]]:
    """Return the view with more keypoints, and for each pair's points their rows among them."""
    places = np.concatenate([points.places for points in brought] or [np.zeros((0, 2), np.float32)])
    if len(places) == 0:
        return view, [np.zeros(0, np.int32) for _ in brought]
    colors = np.concatenate([points.colors for points in brought])
    known = len(view.keypoints)
    rows = np.full(len(places), -1)
    if known:
        gaps, nearest = KDTree(view.keypoints).query(places, distance_upper_bound=_SNAP * cell_px)
        rows = np.where(np.isfinite(gaps), nearest, -1)
    free = rows < 0
    columns = int(np.ceil(view.camera.width / cell_px)) + 1
    cell_x, cell_y = np.floor(places[free] / cell_px).astype(np.int64).T
    _, member = np.unique(cell_y * columns + cell_x, return_inverse=True)
    rows[free] = known + member
    merged = replace(
        view,
        keypoints=np.concatenate([view.keypoints, _means(places[free], member).astype(np.float32)]),
        colors=np.concatenate([view.colors, _means(colors[free], member).round().astype(np.uint8)]),
    )
    bounds = np.cumsum([len(points) for points in brought])[:-1]
    return merged, np.split(rows.astype(np.int32), bounds)


def _means(values: Array, member: Array) -> Array:
    """Return the mean of the rows of each member number from 0 on."""
    counts = np.bincount(member)
    return np.column_stack([np.bincount(member, weights=column) / counts for column in values.T])


def _renumbered(pair: ViewPair, rows: tuple[Array, Array], known: tuple[int, int]) -> ViewPair:
    inliers = pair.geometry.inliers.copy()
    for side in (0, 1):
        own = inliers[:, side] >= known[side]
        inliers[own, side] = rows[side][inliers[own, side] - known[side]]
    # Matches of keypoints are the more exact ones: they go before those of points.
    inliers = inliers[np.argsort((pair.geometry.inliers >= known).any(axis=1), kind="stable")]
    for side in (0, 1):
        _, firsts = np.unique(inliers[:, side], return_index=True)
        inliers = inliers[np.sort(firsts)]
    return ViewPair(pair.first, pair.second, replace(pair.geometry, inliers=inliers[np.argsort(inliers[:, 0])]))
