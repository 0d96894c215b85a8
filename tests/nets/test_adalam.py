import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconflow.config import MatchConfig
from reconflow.nets.adalam import AdalamMatcher, Putative, consistent

AFFINE = np.array([[1.1, -0.3], [0.2, 0.9]], np.float32)


def putatives(*, good: int, bad: int, seed: int, noise: float = 0.0) -> tuple[Putative, np.ndarray]:
    """Return matches of which the good ones follow ``AFFINE`` and the others nothing, and which are good."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(-2, 2, (good + bad, 2))
    second = first @ AFFINE.T + rng.normal(size=first.shape) * noise
    is_good = np.zeros(good + bad, bool)
    is_good[rng.permutation(good + bad)[:good]] = True
    second[~is_good] = rng.uniform(-2, 2, (bad, 2))
    turn = np.where(is_good, 0.2, rng.uniform(-np.pi, np.pi, good + bad))
    log_scaling = np.where(is_good, 0.0, rng.normal(size=good + bad))
    columns = (first, second, turn, log_scaling)
    return Putative(*(np.asarray(column, np.float32) for column in columns)), is_good


def fields(putative: Putative) -> tuple[np.ndarray, ...]:
    return putative.first, putative.second, putative.turn, putative.log_scaling


@given(seed=st.integers(0, 2**32 - 1), bad=st.integers(0, 900))
@settings(max_examples=25, deadline=None)
def test_what_follows_an_affine_map_stays_and_the_rest_goes(seed, bad):
    putative, is_good = putatives(good=500, bad=bad, seed=seed, noise=0.005)
    kept = consistent(putative, np.ones(len(putative), bool))
    assert kept[is_good].mean() > 0.95
    assert kept[~is_good].sum() <= 0.02 * bad + 2


def test_noise_alone_keeps_next_to_nothing():
    kept = [consistent(putatives(good=0, bad=1000, seed=seed)[0], np.ones(1000, bool)).sum() for seed in range(20)]
    assert max(kept) <= 12


def test_a_neighbourhood_votes_only_with_its_own_members_and_once_each():
    few, _ = putatives(good=0, bad=250, seed=2)
    many, _ = putatives(good=400, bad=100, seed=1)
    columns = [np.concatenate(pair) for pair in zip(fields(few), fields(many), strict=True)]
    for points in columns[:2]:
        points[250:] += 20
    columns[2][:250] = columns[3][:250] = 0  # alike enough to be neighbours of each other
    apart = [Putative(*(column[part] for column in columns)) for part in (slice(250), slice(250, None))]
    kept = [consistent(part, np.ones(len(part), bool)) for part in apart]
    assert np.array_equal(consistent(Putative(*columns), np.ones(750, bool)), np.concatenate(kept))
    assert not kept[0].any()
    assert kept[1].any()


def test_without_seeds_nothing_stays():
    putative, _ = putatives(good=300, bad=0, seed=0)
    assert not consistent(putative, np.zeros(300, bool)).any()


def test_an_exact_fit_is_kept():
    putative, _ = putatives(good=300, bad=0, seed=0)
    assert consistent(putative, np.ones(300, bool)).all()


def test_matches_on_one_line_are_no_error():
    line = np.column_stack([np.linspace(-1, 1, 50), np.zeros(50)]).astype(np.float32)
    zeros = np.zeros(50, np.float32)
    kept = consistent(Putative(line, line, zeros, zeros), np.ones(50, bool))
    assert kept.shape == (50,)


def test_an_empty_set_stays_empty():
    empty = Putative(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), *np.zeros((2, 0), np.float32))
    assert consistent(empty, np.zeros(0, bool)).shape == (0,)


def test_neighbours_rescue_a_match_that_is_ambiguous_on_its_own(make_features):
    rng = np.random.default_rng(0)
    points = rng.uniform((100, 100), (500, 400), (300, 2))
    descriptors = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    # Ten keypoints of the second photo have a double elsewhere that is nearly as alike.
    doubles = np.clip(descriptors[:10].astype(int) + rng.integers(-2, 3, (10, 32)), 0, 255).astype(np.uint8)
    elsewhere = rng.uniform((100, 100), (500, 400), (10, 2))
    blur = np.clip(descriptors.astype(int) + rng.integers(-1, 2, descriptors.shape), 0, 255).astype(np.uint8)
    a = make_features(points, descriptors)
    b = make_features(np.vstack([points + 12, elsewhere]), np.vstack([blur, doubles]))
    found = AdalamMatcher(15).match(a, b, config=MatchConfig(ratio=0.8)).indices
    right = found[found[:, 0] == found[:, 1], 0]
    assert np.isin(np.arange(10, 300), right).all()
    assert np.isin(np.arange(10), right).sum() >= 8


@pytest.mark.parametrize("angle", [np.pi / 2, np.pi, -2.0])
def test_a_turned_photo_matches_as_well(make_features, angle):
    rng = np.random.default_rng(1)
    points = rng.uniform(100, 400, (200, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    descriptors = rng.integers(0, 256, (200, 32), dtype=np.uint8)
    own = rng.uniform(-np.pi, np.pi, 200).astype(np.float32)
    a = make_features(points, descriptors, orientations=own, image_size=(500, 500))
    b = make_features(
        (points - 250) @ turn.T + 250,
        descriptors,
        orientations=np.mod(own + angle, 2 * np.pi).astype(np.float32),
        image_size=(500, 500),
    )
    assert len(AdalamMatcher(15).match(a, b, config=MatchConfig())) == 200
