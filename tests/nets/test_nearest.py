import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconflow.core.matches import Matches
from reconflow.nets.nearest import nearest_two, one_to_one


def brute(a, b):
    gaps = a.astype(np.int64)[:, None] - b.astype(np.int64)[None]
    return (gaps**2).sum(axis=2)


@given(
    rows=st.integers(0, 40),
    columns=st.integers(2, 40),
    width=st.sampled_from([1, 2, 128]),
    levels=st.sampled_from([3, 256]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_the_search_is_exact(rows, columns, width, levels, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, levels, (rows, width), dtype=np.uint8)
    b = rng.integers(0, levels, (columns, width), dtype=np.uint8)
    found = nearest_two(a, b)
    distances = brute(a, b)
    ordered = np.sort(distances, axis=1)
    assert np.array_equal(found.index, distances.argmin(axis=1))
    assert np.array_equal(found.distance, ordered[:, 0])
    assert np.array_equal(found.second, ordered[:, 1])
    assert np.array_equal(found.mutual, ordered[:, 0] == distances.min(axis=0, initial=2**40)[found.index])


def test_blocks_do_not_change_the_result():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 30, (1500, 16), dtype=np.uint8), rng.integers(0, 30, (2600, 16), dtype=np.uint8)
    found = nearest_two(a, b)
    distances = brute(a, b)
    assert np.array_equal(found.index, distances.argmin(axis=1))
    assert np.array_equal(found.second, np.sort(distances, axis=1)[:, 1])
    assert np.array_equal(found.mutual, distances.min(axis=1) == distances.min(axis=0)[found.index])


def test_the_largest_descriptors_are_still_exact():
    a = np.full((2, 128), 255, np.uint8)
    b = np.full((3, 128), 255, np.uint8)
    b[1, 5] = 254
    b[2, 5] = 253
    found = nearest_two(a, b)
    assert found.distance.tolist() == [0, 0]
    assert found.second.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_float_descriptors_are_searched_too(dtype):
    rng = np.random.default_rng(0)
    b = rng.normal(size=(300, 64))
    b = (b / np.linalg.norm(b, axis=1, keepdims=True)).astype(dtype)
    order = rng.permutation(300)
    found = nearest_two(b[order], b)
    assert np.array_equal(found.index, order)
    assert found.mutual.all()


def test_a_single_target_has_no_second():
    found = nearest_two(np.zeros((3, 4), np.uint8), np.ones((1, 4), np.uint8))
    assert np.isinf(found.second).all()
    assert (found.ratio() == 0).all()


def test_equal_candidates_are_ambiguous():
    found = nearest_two(np.zeros((1, 4), np.uint8), np.zeros((2, 4), np.uint8))
    assert found.ratio().tolist() == [1]


def test_no_target_is_an_error():
    with pytest.raises(ValueError, match="targets must not be empty"):
        nearest_two(np.zeros((1, 4), np.uint8), np.zeros((0, 4), np.uint8))


def test_a_place_with_several_orientations_is_matched_once_and_by_its_first_index(make_features):
    blank = np.zeros((4, 8), np.uint8)
    a = make_features(np.array([(5, 5), (9, 9), (5, 5), (7, 7)]), blank)
    b = make_features(np.array([(1, 1), (2, 2), (2, 2), (3, 3)]), blank)
    pairs = np.array([(2, 2), (0, 1), (1, 3), (3, 3)])
    assert one_to_one(a, b, pairs).indices.tolist() == [[0, 1], [1, 3]]


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        ([(0, 1), (0, 2), (1, 0)], [[0, 1], [1, 0]]),
        ([(1, 0), (2, 0), (0, 0)], [[1, 0]]),
        ([(2, 1), (1, 1), (1, 2), (0, 2)], [[0, 2], [2, 1]]),
        ([(1, 2), (0, 2), (0, 1), (1, 0)], [[1, 2]]),
    ],
)
def test_of_matches_that_share_a_keypoint_the_first_stays(make_features, pairs, kept):
    photo = make_features(np.array([(1, 1), (2, 2), (3, 3)]), np.zeros((3, 8), np.uint8))
    assert one_to_one(photo, photo, np.array(pairs)).indices.tolist() == kept


def test_nothing_to_keep_is_no_error(make_features):
    a = make_features(np.array([(5, 5)]), np.zeros((1, 8), np.uint8))
    found = one_to_one(a, a, np.zeros((0, 2), np.int64))
    assert isinstance(found, Matches)
    assert len(found) == 0
