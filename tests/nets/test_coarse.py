import numpy as np
import pytest

from reconflow.config import MatchConfig
from reconflow.nets.coarse import coarse_counts


@pytest.fixture
def features(make_features):
    """Two photos that share 40 of 200 keypoints, the largest ones, one that shares none, and one without any."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 400, (200, 2))
    shared = rng.integers(0, 256, (40, 32), dtype=np.uint8)

    def photo(descriptors: np.ndarray):
        scales = np.concatenate([np.full(40, 8.0), np.full(160, 2.0)]).astype(np.float32)
        order = rng.permutation(200)
        return make_features(points, descriptors[order], scales=scales[order])

    def own(count: int) -> np.ndarray:
        return rng.integers(0, 256, (count, 32), dtype=np.uint8)

    first, second = (photo(np.vstack([shared, own(160)])) for _ in range(2))
    none = make_features(np.zeros((0, 2)), np.zeros((0, 32), np.uint8))
    return [first, second, photo(own(200)), none]


def test_pairs_that_share_large_keypoints_stand_out(features):
    counts = coarse_counts(features, [(0, 1), (0, 2), (1, 2)], config=MatchConfig(coarse_keypoints=60))
    assert counts[0] >= 40
    assert max(counts[1:]) <= 1


def test_only_the_largest_keypoints_take_part(features):
    config = MatchConfig(coarse_keypoints=25, coarse_ratio=0.7)
    assert coarse_counts(features, [(0, 1)], config=config)[0] <= 25


def test_a_pair_counts_the_same_in_any_company(features):
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    together = coarse_counts(features, pairs, config=MatchConfig())
    assert together == [coarse_counts(features, [pair], config=MatchConfig())[0] for pair in pairs]


def test_photos_without_keypoints_count_nothing(features):
    assert coarse_counts(features, [(0, 3), (3, 3)], config=MatchConfig()) == [0, 0]


def test_no_pairs_no_counts(features):
    assert coarse_counts(features, [], config=MatchConfig()) == []


@pytest.fixture
def learned(make_features):
    """Two photos whose 40 surest of 200 keypoints look alike, one that shares none, and one without any."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 400, (200, 2))
    unit = rng.normal(size=(560, 64))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float16)

    def photo(own: int, *, shared: bool):
        descriptors = np.vstack([unit[:40], unit[own : own + 160]]) if shared else unit[own : own + 200]
        return make_features(points, descriptors)  # the surest first

    none = make_features(np.zeros((0, 2)), np.zeros((0, 64), np.float16))
    return [photo(40, shared=True), photo(200, shared=True), photo(360, shared=False), none]


def test_surest_keypoints_that_look_alike_stand_out(learned):
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (3, 3)]
    counts = coarse_counts(learned, pairs, config=MatchConfig(coarse_keypoints=60), alike=0.9)
    assert counts == [40, 0, 0, 0, 0]
    assert coarse_counts(learned, pairs, config=MatchConfig(coarse_keypoints=25), alike=0.9)[0] == 25
    assert coarse_counts(learned, [], config=MatchConfig(), alike=0.9) == []


def test_a_neighbour_that_has_a_nearer_one_counts_for_nothing(make_features):
    first = np.array([[1, 0], [0.995, 0.0999]], np.float32)
    a, b = make_features([[1, 1], [9, 9]], first), make_features([[5, 5]], np.array([[1, 0]], np.float32))
    assert coarse_counts([a, b], [(0, 1)], config=MatchConfig(), alike=0.9) == [1]
