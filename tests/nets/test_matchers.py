"""The promises of every matcher: subclass :class:`MatcherContract` for a new one."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from reconflow.config import MatchConfig
from reconflow.core.features import Features
from reconflow.nets.protocols import Matcher, TileMatcher, TileView
from reconflow.nets.registry import create_matcher


class MatcherContract:
    """What holds for every matcher, on the features it is meant for."""

    name = ""
    extractor = "sift"
    least_right = 0.95
    """Share of matches that follow the map between two views."""
    most_unrelated = 20
    """Matches of pictures that have nothing in common."""

    @pytest.fixture
    def matcher(self) -> Matcher:
        return create_matcher(self.name, extractor=self.extractor)

    @pytest.fixture
    def pictures(self, extracted) -> tuple[Features, Features, Features]:
        return extracted(self.extractor)

    def test_it_goes_by_its_registered_name_and_knows_what_counts_as_evidence(self, matcher):
        assert matcher.name == self.name
        assert matcher.acceptance_inliers >= 8

    def test_matches_follow_the_map_between_two_views(self, matcher, pictures, affine):
        a, b, _ = pictures
        matches = matcher.match(a, b, config=MatchConfig())
        first, second = matches.indices.T
        expected = a.keypoints[first] @ affine[:, :2].T + affine[:, 2]
        gaps = np.linalg.norm(expected - b.keypoints[second], axis=1)
        assert len(matches) > 100
        assert (gaps < 2).mean() > self.least_right

    def test_unrelated_pictures_have_next_to_no_matches(self, matcher, pictures):
        a, _, c = pictures
        assert len(matcher.match(a, c, config=MatchConfig())) < self.most_unrelated

    def test_matches_are_one_to_one_and_in_order(self, matcher, pictures):
        a, b, _ = pictures
        matches = matcher.match(a, b, config=MatchConfig())
        first, second = matches.indices.T
        assert matches.indices.dtype == np.int32
        assert (np.diff(first) > 0).all()
        assert len(np.unique(second)) == len(second)
        assert len(np.unique(a.keypoints[first], axis=0)) == len(first)
        assert len(np.unique(b.keypoints[second], axis=0)) == len(second)

    @pytest.mark.parametrize("count", [0, 1, 2, 5])
    def test_few_or_no_features_are_no_error(self, matcher, pictures, make_features, count):
        a = pictures[0]
        few = make_features(a.keypoints[:count], a.descriptors[:count], image_size=a.image_size)
        assert len(matcher.match(few, a, config=MatchConfig())) <= count
        assert len(matcher.match(a, few, config=MatchConfig())) <= count
        assert len(matcher.match(few, few, config=MatchConfig())) <= count

    def test_all_features_at_one_place_are_no_error(self, matcher, pictures, make_features):
        a = pictures[0]
        heap = make_features(np.full((50, 2), 20.5), a.descriptors[:50], image_size=a.image_size)
        assert len(matcher.match(heap, heap, config=MatchConfig())) <= 1

    def test_equal_descriptors_are_no_error(self, matcher, pictures, make_features):
        a = pictures[0]
        same = np.repeat(a.descriptors[:1], 60, axis=0)
        plain = make_features(a.keypoints[:60], same, image_size=a.image_size)
        assert len(matcher.match(plain, plain, config=MatchConfig())) <= 60

    def test_the_same_pair_gives_the_same_matches(self, matcher, pictures):
        a, b, _ = pictures
        once, twice = (matcher.match(a, b, config=MatchConfig()).indices for _ in range(2))
        assert np.array_equal(once, twice)

    def test_threads_do_not_disturb_each_other(self, matcher, pictures):
        pairs = [(i, j) for i in range(3) for j in range(3)]

        def match(pair):
            return matcher.match(pictures[pair[0]], pictures[pair[1]], config=MatchConfig()).indices

        alone = [match(pair) for pair in pairs]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(match, pairs))
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))

    def test_it_survives_pickling(self, matcher, pictures):
        a, b, _ = pictures
        again = pickle.loads(pickle.dumps(matcher))
        found = [m.match(a, b, config=MatchConfig()).indices for m in (matcher, again)]
        assert np.array_equal(*found)
        assert again.acceptance_inliers == matcher.acceptance_inliers

    def test_the_features_are_left_as_they_are(self, matcher, pictures):
        a, b, _ = pictures
        before = pickle.dumps((a, b))
        matcher.match(a, b, config=MatchConfig())
        assert pickle.dumps((a, b)) == before


class TestRatio(MatcherContract):
    name = "ratio"


class TestAdalam(MatcherContract):
    name = "adalam"


@pytest.mark.usefixtures("weights")
class TestMutual(MatcherContract):
    name = "mnn"
    extractor = "aliked-n16rot"

    def test_unrelated_pictures_have_next_to_no_matches(self, matcher, pictures):
        """Nearest neighbours always exist: it takes a least similarity, or verification, to drop them."""
        a, _, c = pictures
        assert len(matcher.match(a, c, config=MatchConfig(min_similarity=0.9))) < 20


@pytest.mark.usefixtures("weights")
class TestAdalamOnLearnedFeatures(MatcherContract):
    name = "adalam"
    extractor = "aliked-n16rot"


@dataclass(frozen=True)
class OnePair:
    """A matcher of tiles that is given one pair at a time."""

    tiles: TileMatcher

    def __getattr__(self, name):
        if name == "tiles":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.tiles, name)

    def match(self, a, b, *, config):
        ((_, finish),) = self.tiles.match_tile([TileView(a), TileView(b)], [(0, 1)], config=config)
        return finish()


@pytest.mark.usefixtures("weights")
class TestLighterGlue(MatcherContract):
    name = "lighterglue"
    extractor = "xfeat"

    @pytest.fixture
    def matcher(self):
        return OnePair(create_matcher(self.name, extractor=self.extractor))

    least_right = 0.8  # XFeat's keypoints lie on whole pixels
    most_unrelated = 100
