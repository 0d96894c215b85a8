import numpy as np

from reconflow.config import MatchConfig
from reconflow.nets.similarity import MutualMatcher


def unit(rng, count):
    vectors = rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def test_mutual_nearest_neighbours_are_found_and_others_are_not(make_features):
    rng = np.random.default_rng(0)
    shared, own = unit(rng, 30), unit(rng, 20)
    points = rng.uniform(0, 400, (50, 2))
    a = make_features(points, np.vstack([shared, own]))
    b = make_features(points, np.vstack([shared, unit(rng, 20)]))
    found = MutualMatcher(20).match(a, b, config=MatchConfig(min_similarity=0.98)).indices
    assert np.array_equal(found, np.repeat(np.arange(30), 2).reshape(-1, 2))


def test_the_least_similarity_is_a_dot_product(make_features):
    first = np.array([[1, 0], [0, 1]], np.float32)
    turned = np.array([[np.cos(0.5), np.sin(0.5)], [0, -1]], np.float32)
    a, b = (make_features([[10, 10], [50, 50]], descriptors) for descriptors in (first, turned))

    def count(similarity):
        return len(MutualMatcher(20).match(a, b, config=MatchConfig(min_similarity=similarity)))

    assert count(np.cos(0.5) - 0.01) == 1
    assert count(np.cos(0.5) + 0.01) == 0
