"""Worlds without pictures: known cameras, points, features and the exact matches between them.

>>> world = synthetic_world(cameras=4, points=200, seed=1)
>>> world.names[0], len(world.matches)
('scene0_000.jpg', 6)
>>> len(world.geometry(0, 1)) == len(world.matches[0, 1])
True
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera, Pose
from reconflow.core.features import Features
from reconflow.core.matches import Matches, TwoViewGeometry
from reconflow.core.pairs import Pair, all_pairs
from reconflow.world.projection import calibration_matrix, project
from reconflow.world.trajectories import arc_poses

_RADIUS = 4.0
"""Distance of the cameras from the middle of their scene, whose points lie within 2.2 of it."""


@dataclass(frozen=True)
class SyntheticWorld:
    """Photos that were never taken, and everything there is to know about them.

    The tuples run over the photos of all scenes, in the order of ``names``, which is sorted. Each scene has a world
    frame of its own, so points and poses of different scenes have nothing to do with each other.
    """

    names: tuple[str, ...]
    scene_of: tuple[int, ...]
    cameras: tuple[Camera, ...]
    cam_from_world: tuple[Pose, ...]
    features: tuple[Features, ...]
    point_of: tuple[Array, ...]
    """Per photo, (N,) int64: row of ``points_in_world`` that each keypoint shows."""
    points_in_world: Array
    """(P, 3) float64; the points of one scene stand together."""
    colors: Array
    """(P, 3) uint8."""
    matches: dict[Pair, Matches]
    """Putative matches of the pairs that see common points, in the order of the first photo's keypoints. All are true
    but the share that ``outlier_ratio`` has made wrong."""

    def true_matches(self, i: int, j: int) -> Matches:
        """Return the matches of a pair that join keypoints of the same point."""
        _, first, second = np.intersect1d(self.point_of[i], self.point_of[j], return_indices=True)
        return _ordered(first, second)

    def geometry(self, i: int, j: int) -> TwoViewGeometry:
        """Return the exact two-view geometry of a pair, with the true ones of its putative matches as inliers.

        F relates undistorted pixels: with a distorting camera, keypoints obey E after undistortion, not F.
        """
        putative = self.matches.get((i, j), Matches.none()).indices
        true = self.point_of[i][putative[:, 0]] == self.point_of[j][putative[:, 1]]
        if not true.any():
            return TwoViewGeometry.undefined()
        a, b = self.cam_from_world[i], self.cam_from_world[j]
        rotation = b.rotation @ a.rotation.T
        x, y, z = b.translation - rotation @ a.translation
        essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
        inverse_a, inverse_b = (np.linalg.inv(calibration_matrix(self.cameras[k])) for k in (i, j))
        to_a, to_b = (
            c - self.points_in_world[self.point_of[i][putative[true, 0]]]
            for c in (a.center_in_world, b.center_in_world)
        )
        cosine = (to_a * to_b).sum(axis=1) / np.linalg.norm(to_a, axis=1) / np.linalg.norm(to_b, axis=1)
        return TwoViewGeometry(
            "CALIBRATED",
            putative[true],
            inverse_b.T @ essential @ inverse_a,
            essential,
            np.zeros((3, 3)),
            float(np.rad2deg(np.median(np.arccos(np.clip(cosine, -1, 1))))),
        )


def synthetic_world(
    *,
    cameras: int = 6,
    points: int = 400,
    scenes: int = 1,
    camera: Camera | None = None,
    layout: Literal["volume", "plane"] = "volume",
    step_deg: float = 8.0,
    noise_px: float = 0.0,
    outlier_ratio: float = 0.0,
    seed: int = 0,
) -> SyntheticWorld:
    """Return photos on an arc about random points, with exact features and matches.

    A point is seen by every photo it falls into. Its descriptors differ a little between photos and much between
    points, so that any matcher finds the true matches; scale and orientation of its keypoints follow the geometry.

    Parameters
    ----------
    cameras, points : int
        How many photos and points *each* scene has.
    scenes : int
        How many scenes that share nothing.
    camera : Camera, optional
        The camera of every photo; SIMPLE_RADIAL, 1024 × 768, 900 px focal length and no distortion if not given.
    layout : {"volume", "plane"}
        Whether the points fill a box or lie on one plane.
    step_deg : float
        Angle between neighbours on the arc. The photos share their middle, so beyond about 90° in all, real features
        would no longer match; these do.
    noise_px : float
        Standard deviation of the keypoints from the true projections.
    outlier_ratio : float
        Share of each pair's putative matches that join keypoints of different points, from 0 to 1.

    """
    shared = camera or Camera.from_focal("SIMPLE_RADIAL", 1024, 768, 900.0, prior=True)
    rng = np.random.default_rng(seed)
    extent = np.array([1.5, 2.2, 1.4])
    positions = rng.uniform(-1, 1, (scenes * points, 3)) * extent
    if layout == "plane":
        positions[:, 0] = 0.0
    cloud = _Cloud(
        positions,
        rng.uniform(0.01, 0.04, scenes * points),
        rng.uniform(0, 2 * np.pi, scenes * points),
        _descriptors(rng, scenes * points),
        rng.integers(0, 256, (scenes * points, 3), dtype=np.uint8),
    )
    half = step_deg * (cameras - 1) / 2
    poses: list[Pose] = []
    for _ in range(scenes):
        poses += arc_poses(
            cameras, radius=_RADIUS, height=0.6, target=(0, 0, 0), from_deg=-half, to_deg=half, jitter=0.02, rng=rng
        )
    scene_of = tuple(index // cameras for index in range(scenes * cameras))
    views = [
        _view(cloud, slice(scene * points, (scene + 1) * points), pose, shared, noise_px=noise_px, rng=rng)
        for scene, pose in zip(scene_of, poses, strict=True)
    ]
    digits = len(str(scenes - 1))
    exact = SyntheticWorld(
        names=tuple(f"scene{scene:0{digits}d}_{index % cameras:03d}.jpg" for index, scene in enumerate(scene_of)),
        scene_of=scene_of,
        cameras=(shared,) * len(poses),
        cam_from_world=tuple(poses),
        features=tuple(features for features, _ in views),
        point_of=tuple(rows for _, rows in views),
        points_in_world=cloud.positions,
        colors=cloud.colors,
        matches={},
    )
    for i, j in all_pairs(len(poses)):
        true = exact.true_matches(i, j)
        if len(true):
            exact.matches[i, j] = _spoiled(true, outlier_ratio, rng)
    return exact


@dataclass(frozen=True)
class _Cloud:
    """Points with what a photo shows of them."""

    positions: Array
    sizes: Array
    angles: Array
    descriptors: Array
    colors: Array


def _view(
    cloud: _Cloud, rows: slice, pose: Pose, camera: Camera, *, noise_px: float, rng: np.random.Generator
) -> tuple[Features, Array]:
    """Return the features of one photo, and the point that each shows."""
    own = np.arange(rows.start, rows.stop)
    in_camera = cloud.positions[own] @ pose.rotation.T + pose.translation
    exact = project(camera, in_camera)
    pixels = exact + rng.normal(0, 1, exact.shape) * noise_px
    with np.errstate(invalid="ignore"):
        seen = ((pixels > 0) & (pixels < [camera.width, camera.height])).all(axis=1)
    chosen = rng.permutation(np.flatnonzero(seen))
    points = own[chosen]
    # A mark on the point, upright towards the middle of the arc, turns and shrinks in the picture as a feature would.
    mark = (
        np.stack([np.zeros(len(points)), np.cos(cloud.angles[points]), np.sin(cloud.angles[points])], axis=1)
        @ pose.rotation.T
        * 1e-3
    )
    direction = project(camera, in_camera[chosen] + mark) - exact[chosen]
    noise = rng.normal(0, 4, (len(points), cloud.descriptors.shape[1]))
    features = Features(
        keypoints=pixels[chosen].astype(np.float32),
        scales=camera.focal_px * cloud.sizes[points] / in_camera[chosen, 2],
        orientations=np.arctan2(direction[:, 1], direction[:, 0]),
        scores=np.linspace(1.0, 0.1, len(points)),
        descriptors=np.clip(np.rint(cloud.descriptors[points] + noise), 0, 255).astype(np.uint8),
        colors=cloud.colors[points],
        image_size=(camera.width, camera.height),
    )
    return features, points


def _descriptors(rng: np.random.Generator, count: int) -> Array:
    """Return (count, 128) random non-negative descriptors of norm 512, sparse as SIFT's are, never clipped at 255."""
    values = np.minimum(rng.gamma(0.6, 1.0, (count, 128)), 4.0)
    return values * (512 / np.linalg.norm(values, axis=1, keepdims=True))


def _ordered(first: Array, second: Array) -> Matches:
    order = np.argsort(first)
    return Matches(np.column_stack([first[order], second[order]]).astype(np.int32))


def _spoiled(true: Matches, ratio: float, rng: np.random.Generator) -> Matches:
    """Return the matches with a share of them passed round in a ring: wrong without exception, still one to one."""
    count = min(max(round(ratio * len(true)), 2), len(true)) if ratio > 0 else 0
    indices = true.indices.copy()
    wrong = rng.choice(len(true), count, replace=False)
    indices[wrong, 1] = np.roll(indices[wrong, 1], 1)
    return Matches(indices)
