import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from reconflow.evaluation.consensus import register_centers, triplet_batches
from reconflow.evaluation.similarity import align_similarity


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_every_triplet_comes_once(batch):
    rows = [tuple(row) for part in triplet_batches(9, batch) for row in part.tolist()]
    assert sorted(rows) == list(itertools.combinations(range(9), 3))


def _brute_force(source, target, thresholds):
    """Try every triplet and refit, one by one; the most inliers per threshold."""
    most = np.zeros(len(thresholds), int)
    for triplet in itertools.combinations(range(len(source)), 3):
        first = align_similarity(source[list(triplet)], target[list(triplet)])
        distances = np.linalg.norm(first.apply(source) - target, axis=1)
        for limit in thresholds:
            inliers = distances < limit
            if inliers.sum() >= 3:
                refit = align_similarity(source[inliers], target[inliers])
                errors = np.linalg.norm(refit.apply(source) - target, axis=1)
                most = np.maximum(most, (errors[:, None] < thresholds).sum(0))
    return most


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_what_trying_one_by_one_finds(seed):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(14, 3))
    source = 2 * (target + 0.02 * rng.normal(size=target.shape)) @ Rotation.random(random_state=seed).as_matrix() + 4
    source[:4] = rng.normal(size=(4, 3)) * 30
    thresholds = np.array([0.005, 0.01, 0.03, 0.05, 0.1, 0.5])
    found = register_centers(source, target, thresholds)
    np.testing.assert_array_equal((found.errors < thresholds).sum(0), _brute_force(source, target, thresholds))


def test_cameras_far_away_do_not_spoil_the_others():
    target = np.random.default_rng(5).normal(size=(12, 3))
    source = target.copy()
    source[:5] += 1e9 * np.random.default_rng(6).normal(size=(5, 3))
    found = register_centers(source, target, [1e-6, 1e-5, 1e-4])
    assert (found.errors < 1e-6).sum(0).tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    "source", [np.zeros((2, 3)), np.ones((6, 3)), np.zeros((0, 3))], ids=["two", "one place", "none"]
)
def test_centres_without_a_similarity_are_infinitely_far(source):
    target = np.random.default_rng(0).normal(size=(len(source), 3))
    found = register_centers(source, target, [1, 2, 3])
    assert found.similarities == (None, None, None)
    assert found.loosest is None
    assert np.isinf(found.errors).all()


def test_the_similarity_maps_submitted_centres_to_true_ones():
    target = np.random.default_rng(8).normal(size=(9, 3))
    found = register_centers(5 * target - 2, target, [0.1, 0.2, 0.3])
    similarity = found.similarities[2]
    assert similarity is not None
    assert similarity.scale == pytest.approx(0.2)
    np.testing.assert_allclose(similarity.apply(5 * target - 2), target, atol=1e-12)


def test_more_than_sixty_four_centres_fit_in_a_mask():
    target = np.random.default_rng(9).normal(size=(70, 3))
    source = target.copy()
    source[66:] += 3
    found = register_centers(source, target, [1e-3, 1e-2, 1e-1])
    assert (found.errors < 0.1).all(axis=1).tolist() == [True] * 66 + [False] * 4


def test_tight_and_loose_thresholds_are_searched_alike():
    rng = np.random.default_rng(10)
    target = rng.normal(size=(25, 3))
    source = 3 * target + 0.05 * rng.normal(size=target.shape)
    loose = [0.01, 0.02, 0.03, 0.05]
    quick = register_centers(source, target, loose).errors
    # One tight threshold switches the whole search to the careful distances.
    careful = register_centers(source, target, [1e-6, *loose]).errors[:, 1:]
    np.testing.assert_array_equal(quick < loose, careful < loose)


def test_the_best_similarity_may_come_with_the_last_triplets():
    # 70 centres take several batches, and the first one holds nothing but astray cameras.
    target = np.random.default_rng(11).normal(size=(70, 3))
    source = target + 0.001 * np.random.default_rng(12).normal(size=target.shape)
    source[:45] = np.random.default_rng(13).normal(size=(45, 3))
    found = register_centers(source, target, [0.01, 0.02, 0.05])
    assert (found.errors < 0.01).any(axis=1)[45:].all()
