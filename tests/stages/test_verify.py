import numpy as np
import pytest

from reconflow.config import VerifyConfig
from reconflow.core.matches import Matches, TwoViewGeometry
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
