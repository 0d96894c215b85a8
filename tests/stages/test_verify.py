import numpy as np
import pytest

from reconflow.config import VerifyConfig
from reconflow.core.cameras import Camera
from reconflow.core.features import Features
from reconflow.core.matches import Matches, Points, TwoViewGeometry
from reconflow.stages.verify import is_evidence, verify_pair
from reconflow.world.correspondences import synthetic_world


def verified(world, i, j, **options):
    return verify_pair(
        world.matches[i, j],
        world.features[i],
        world.features[j],
        cameras=(world.cameras[i], world.cameras[j]),
        config=VerifyConfig(**options),
    )


def test_true_matches_survive_and_wrong_ones_go():
    world = synthetic_world(cameras=3, points=300, noise_px=0.3, outlier_ratio=0.4, seed=2)
    geometry = verified(world, 0, 1)
    true = {tuple(pair) for pair in world.true_matches(0, 1).indices.tolist()}
    found = {tuple(pair) for pair in geometry.inliers.tolist()}
    putative = {tuple(pair) for pair in world.matches[0, 1].indices.tolist()}
    assert len(found & true) >= 0.95 * len(putative & true)
    assert len(found - true) <= 0.05 * len(found)
    assert geometry.configuration in ("CALIBRATED", "UNCALIBRATED")


def test_the_fundamental_matrix_follows_the_known_cameras():
    world = synthetic_world(cameras=3, points=300, seed=3)
    geometry = verified(world, 0, 2)
    exact = world.geometry(0, 2)
    a, b = (m / np.linalg.norm(m) for m in (geometry.fundamental, exact.fundamental))
    assert min(np.abs(a - b).max(), np.abs(a + b).max()) < 1e-3


def test_the_same_matches_give_the_same_geometry():
    world = synthetic_world(cameras=2, points=200, noise_px=0.5, outlier_ratio=0.3, seed=4)
    first, second = verified(world, 0, 1), verified(world, 0, 1)
    np.testing.assert_array_equal(first.inliers, second.inliers)
    np.testing.assert_array_equal(first.fundamental, second.fundamental)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_matches_have_no_geometry(count):
    world = synthetic_world(cameras=2, points=100, seed=5)
    geometry = verify_pair(
        Matches(world.matches[0, 1].indices[:count]),
        *world.features,
        cameras=(world.cameras[0], world.cameras[1]),
        config=VerifyConfig(),
    )
    assert len(geometry) == 0
    assert geometry.configuration == "UNDEFINED"


def test_random_matches_are_no_evidence():
    world = synthetic_world(cameras=2, points=400, outlier_ratio=1.0, seed=6)
    geometry = verified(world, 0, 1)
    assert is_evidence(geometry, len(world.matches[0, 1]), acceptance_inliers=15, config=VerifyConfig())


def seen_on_a_raster(sizes, *, keypoints=0, astray_px=0.0):
    """Photos of one scene, so many pixels wide, with 700 true matches of places on whole pixels of a raster of 512.

    Each place is off by one of these. ``keypoints`` more are exact, but for so many pixels downwards in the second one.
    """
    rng = np.random.default_rng(0)
    scene = rng.uniform((-2, -1.5, 4), (2, 1.5, 8), (keypoints + 700, 3))
    turned = np.array([[0.989, 0, 0.149], [0, 1, 0], [-0.149, 0, 0.989]])
    features, points, cameras = [], [], []
    for size, seen in zip(sizes, (scene, scene @ turned.T + (-0.9, 0.05, 0.1)), strict=True):
        focal, middle, raster_px = 1.2 * size, (size / 2, 0.375 * size), size / 512
        exact = seen[:, :2] / seen[:, 2:] * focal + middle
        own = exact[:keypoints] + (0, astray_px if features else 0)
        flat, black = np.ones(keypoints, np.float32), np.zeros((keypoints, 3), np.uint8)
        nothing = np.zeros((keypoints, 1), np.float32)
        features.append(Features(own.astype(np.float32), flat, flat, flat, nothing, black, (size, size * 3 // 4)))
        found = np.floor(exact[keypoints:] / raster_px + rng.normal(size=(700, 2))) + 0.5
        points.append(Points((found * raster_px).astype(np.float32), np.zeros((700, 3), np.uint8), raster_px))
        cameras.append(Camera.from_focal("SIMPLE_PINHOLE", size, size * 3 // 4, focal, prior=True))
    both = np.repeat(np.arange(keypoints + 700, dtype=np.int32)[:, np.newaxis], 2, axis=1)
    return Matches(both, *points), features, tuple(cameras)


@pytest.mark.parametrize("sizes", [(1024, 1024), (2048, 2048), (4000, 4000), (1024, 4000), (4000, 1024)])
def test_matches_as_exact_as_their_raster_stay_whatever_the_size_of_the_photo(sizes):
    matches, features, cameras = seen_on_a_raster(sizes)
    geometry = verify_pair(matches, *features, cameras=cameras, config=VerifyConfig())
    assert 0.92 * 700 < len(geometry) < 0.98 * 700


@pytest.mark.parametrize(("astray_px", "kept"), [(0.0, range(95, 101)), (12.0, range(6))])
def test_keypoints_among_them_have_to_be_exact(astray_px, kept):
    matches, features, cameras = seen_on_a_raster((4000, 4000), keypoints=100, astray_px=astray_px)
    geometry = verify_pair(matches, *features, cameras=cameras, config=VerifyConfig())
    assert int((geometry.inliers[:, 0] < 100).sum()) in kept
    assert len(geometry) > 0.9 * 700


def test_a_larger_error_that_is_allowed_holds_for_all():
    matches, features, cameras = seen_on_a_raster((1024, 1024), keypoints=100, astray_px=12.0)
    geometry = verify_pair(matches, *features, cameras=cameras, config=VerifyConfig(max_error_px=16))
    assert len(geometry) > 0.95 * 800


def geometry_of(inliers, configuration="CALIBRATED"):
    zeros = np.zeros((3, 3))
    return TwoViewGeometry(configuration, np.zeros((inliers, 2), np.int32), zeros, zeros, zeros)


@pytest.mark.parametrize(
    ("geometry", "putative", "options", "doubt"),
    [
        (geometry_of(15), 40, {}, ""),
        (geometry_of(0), 9, {}, "9 matches, 15 needed"),
        (geometry_of(14), 40, {}, "14 inliers, 15 needed"),
        (geometry_of(14), 40, {"min_inliers": 12}, ""),
        (geometry_of(30), 400, {}, "30 of 400 matches agree, 10% needed"),
        (geometry_of(30, "WATERMARK"), 40, {}, "only a watermark in common"),
    ],
)
def test_evidence_needs_the_matchers_level_and_a_share_of_the_matches(geometry, putative, options, doubt):
    assert is_evidence(geometry, putative, acceptance_inliers=15, config=VerifyConfig(**options)) == doubt
