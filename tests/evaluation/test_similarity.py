import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from reconflow.evaluation.similarity import Correspondences, align_similarity, rotations


def _random_similarity(seed):
    rng = np.random.default_rng(seed)
    return float(np.exp(rng.uniform(-4, 4))), Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3) * 20


@given(seed=st.integers(0, 2**31), count=st.integers(3, 12))
def test_a_known_similarity_is_found_again(seed, count):
    scale, rotation, shift = _random_similarity(seed)
    source = np.random.default_rng(seed).normal(size=(count, 3))
    target = scale * source @ rotation.T + shift
    found = align_similarity(source, target)
    np.testing.assert_allclose(found.apply(source), target, atol=1e-9 * max(1, scale))
    assert found.scale == pytest.approx(scale)


def test_points_of_zero_weight_do_not_matter():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(6, 3))
    target = 3 * source + 1
    target[5] = 1000
    found = align_similarity(source, target, np.array([1.0, 1, 1, 1, 1, 0]))
    np.testing.assert_allclose(found.apply(source)[:5], target[:5], atol=1e-12)


def test_a_mirror_image_is_still_aligned_by_a_rotation():
    source = np.random.default_rng(1).normal(size=(8, 3))
    found = align_similarity(source, source * [1, 1, -1])
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_points_at_one_place_have_no_scale():
    with pytest.raises(ValueError, match="coinciding points"):
        align_similarity(np.ones((4, 3)), np.eye(4, 3))


@given(seed=st.integers(0, 2**31), flatness=st.sampled_from([1.0, 1e-2, 1e-5, 0.0]))
def test_batched_alignment_agrees_with_one_at_a_time_for_collinear_points_too(seed, flatness):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(7, 3)) * [1, flatness, flatness]
    target = rng.normal(size=(7, 3))
    masks = rng.random((20, 7)) < 0.6
    masks[:, :3] = True
    linear, shift = Correspondences.of(source, target).align_subsets(masks.astype(float))
    batched = np.einsum("ijb,nj->bni", linear, source) + shift.T[:, None]
    for row, mask in zip(batched, masks, strict=True):
        single = align_similarity(source[mask], target[mask])
        # Collinear points leave a turn around their line open, so the sum of squares is compared and not the place.
        got, best = ((row - target)[mask] ** 2).sum(), ((single.apply(source) - target)[mask] ** 2).sum()
        assert got == pytest.approx(best, rel=1e-7, abs=1e-9)


def test_triplets_and_subsets_give_the_same_similarity():
    rng = np.random.default_rng(2)
    points = Correspondences.of(rng.normal(size=(6, 3)), rng.normal(size=(6, 3)))
    triplets = np.array([[0, 1, 2], [1, 3, 5], [0, 4, 5]])
    masks = np.zeros((3, 6))
    np.put_along_axis(masks, triplets, 1.0, axis=1)
    for a, b in zip(points.align_triplets(triplets), points.align_subsets(masks), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_rotations_are_orthonormal_with_determinant_one():
    covariance = np.random.default_rng(3).normal(size=(3, 3, 500))
    bound = np.linalg.svd(covariance.transpose(2, 0, 1), compute_uv=False).sum(1)
    R = rotations(covariance, bound * 1.3).transpose(2, 0, 1)
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-8)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-8)


def test_a_subset_at_one_place_gives_nan():
    source = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 2, 3]])
    linear, _ = Correspondences.of(source, np.eye(4, 3)).align_triplets(np.array([[0, 1, 2]]))
    assert np.isnan(linear).all()
