"""The promises of every matcher of tiles: subclass :class:`TileMatcherContract` for a new one."""

import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.spatial import KDTree  # noqa: E402

from reconflow.config import MatchConfig  # noqa: E402
from reconflow.nets.batches import batch_runner  # noqa: E402
from reconflow.nets.mast3r.encoder import Mast3rEncoder  # noqa: E402
from reconflow.nets.mast3r.matcher import Mast3rMatcher  # noqa: E402
from reconflow.nets.protocols import TileView  # noqa: E402
from reconflow.nets.registry import create_matcher  # noqa: E402


def keypoints_in(width, height, count, *, seed):
    return np.random.default_rng(seed).uniform((1, 1), (width - 1, height - 1), (count, 2))


def matched(matcher, views, pairs, **options):
    return {place: finish() for place, finish in matcher.match_tile(views, pairs, config=MatchConfig(**options))}


def same(a, b):
    return (
        np.array_equal(a.indices, b.indices)
        and np.array_equal(a.first.places, b.first.places)
        and np.array_equal(a.second.places, b.second.places)
    )


class TileMatcherContract:
    """What holds for every matcher of tiles: subclass it and give ``matcher`` and ``views``."""

    PAIRS = ((0, 1), (0, 2), (1, 2), (2, 3))

    def test_every_pair_is_matched_once(self, matcher, views):
        places = [place for place, _ in matcher.match_tile(views, self.PAIRS, config=MatchConfig())]
        assert sorted(places) == [0, 1, 2, 3]

    def test_it_knows_what_counts_as_evidence(self, matcher):
        assert matcher.acceptance_inliers >= 8

    def test_matches_are_one_to_one_keypoints_first_and_in_order(self, matcher, views):
        for (i, j), matches in zip(self.PAIRS, self.in_order(matcher, views), strict=True):
            first, second = matches.indices.T
            assert len(np.unique(first)) == len(np.unique(second)) == len(matches)
            of_keypoints = (first < len(views[i].features)) | (second < len(views[j].features))
            assert np.array_equal(of_keypoints, np.sort(of_keypoints)[::-1])
            assert (np.diff(first[of_keypoints]) > 0).all()
            assert first.max(initial=-1) < len(views[i].features) + len(matches.first)
            assert second.max(initial=-1) < len(views[j].features) + len(matches.second)

    def test_points_of_a_pair_lie_in_the_photos_and_each_is_matched(self, matcher, views):
        for (i, j), matches in zip(self.PAIRS, self.in_order(matcher, views), strict=True):
            for view, points, column in ((views[i], matches.first, 0), (views[j], matches.second, 1)):
                assert (points.places >= 0).all()
                assert (points.places <= view.features.image_size).all()
                own = matches.indices[:, column] - len(view.features)
                assert np.array_equal(np.sort(own[own >= 0]), np.arange(len(points)))

    def test_a_tile_gives_what_its_pairs_give_alone(self, matcher, views):
        for (i, j), matches in zip(self.PAIRS, self.in_order(matcher, views), strict=True):
            (alone,) = matched(matcher, [views[i], views[j]], [(0, 1)]).values()
            ours, theirs = (set(map(tuple, m.indices.tolist())) for m in (matches, alone))
            assert len(ours & theirs) >= 0.95 * max(len(ours), len(theirs))

    def test_photos_without_keypoints_are_no_error(self, matcher, views, make_features):
        bare = TileView(
            make_features(np.zeros((0, 2)), np.zeros((0, 8), np.float32), image_size=views[0].features.image_size),
            views[0].encoding,
        )
        for matches in matched(matcher, [bare, views[1], bare], [(0, 1), (1, 2), (0, 2)]).values():
            assert (matches.indices >= 0).all()

    def test_the_same_tile_gives_the_same_matches(self, matcher, views):
        once, twice = (self.in_order(matcher, views) for _ in range(2))
        assert all(same(a, b) for a, b in zip(once, twice, strict=True))

    def test_threads_do_not_disturb_each_other(self, matcher, views):
        alone = self.in_order(matcher, views)
        with ThreadPoolExecutor(3) as pool:
            for together in pool.map(lambda _: self.in_order(matcher, views), range(3)):
                assert all(same(a, b) for a, b in zip(alone, together, strict=True))

    def test_it_survives_pickling(self, matcher, views):
        again = pickle.loads(pickle.dumps(matcher))
        assert again == matcher
        assert same(matched(again, views, [(0, 1)])[0], matched(matcher, views, [(0, 1)])[0])

    def in_order(self, matcher, views):
        found = matched(matcher, views, self.PAIRS)
        return [found[place] for place in range(len(self.PAIRS))]


@pytest.fixture(scope="module")
def photos(texture, other_texture):
    """Two landscapes, a portrait, and the first one again."""
    return [texture[:180, :240], other_texture[:180, :240], texture[:240, :180], texture[:180, :240]]


@pytest.fixture(scope="module")
def views(photos, twin_weights, make_features):
    encodings = Mast3rEncoder(file=twin_weights, long_edge_px=64).encode(photos)
    made = []
    for seed, (photo, encoding) in enumerate(zip(photos, encodings, strict=True)):
        height, width = photo.shape[:2]
        keypoints = keypoints_in(width, height, 60, seed=seed % 3)
        features = make_features(keypoints, np.zeros((60, 1), np.float32), image_size=(width, height))
        made.append(TileView(features, encoding))
    return made


class TestHybrid(TileMatcherContract):
    @pytest.fixture
    def matcher(self, twin_weights):
        return Mast3rMatcher(file=twin_weights, acceptance_inliers=30)

    def test_keypoints_and_points_of_a_photo_match_its_copy_at_their_places(self, matcher, views):
        matches = matched(matcher, views, [(0, 3)])[0]
        keypoints = matches.indices[(matches.indices < 60).all(axis=1)]
        assert len(keypoints) > 40
        gaps = views[0].features.keypoints[keypoints[:, 0]] - views[3].features.keypoints[keypoints[:, 1]]
        assert np.abs(gaps).max() <= 3 * 240 / 64
        assert (keypoints[:, 0] == keypoints[:, 1]).mean() > 0.8
        assert len(matches.first) >= (64 // 8) * (48 // 8) * 0.9
        np.testing.assert_allclose(matches.first.places, matches.second.places, atol=1e-3)
        assert np.array_equal(matches.first.colors, matches.second.colors)

    def test_points_say_how_exact_they_are(self, matcher, views):
        matches = matched(matcher, views, [(0, 2)])[0]  # both are 240 px long, and 64 in the network's raster
        assert matches.first.raster_px == matches.second.raster_px == pytest.approx(240 / 64)

    def test_more_seeds_give_more_points(self, matcher, views):
        few, many = (matched(matcher, views, [(0, 3)], seed_step=step)[0] for step in (16, 8))
        assert len(many.first) > 2 * len(few.first)

    def test_a_view_without_encoding_is_refused(self, matcher, views):
        with pytest.raises(ValueError, match="has no encoding"):
            matched(matcher, [TileView(views[0].features), views[1]], [(0, 1)])

    def test_pairs_of_one_grid_are_decoded_together(self, matcher, views, monkeypatch):
        from reconflow.nets.mast3r.model import Mast3r

        batches = []
        plain = Mast3r.decode
        monkeypatch.setattr(
            Mast3r, "decode", lambda self, a, b, grids: batches.append(len(a)) or plain(self, a, b, grids=grids)
        )
        matched(matcher, views, [(0, 1), (0, 3), (1, 3), (0, 2), (2, 3)])
        assert batches == [6, 2, 2]  # a landscape with a portrait and the other way round

    def test_a_portrait_with_a_landscape_gives_what_the_other_order_gives(self, matcher, views):
        forth, back = (matched(matcher, views, [pair])[0] for pair in ((0, 2), (2, 0)))
        ours, theirs = set(map(tuple, forth.indices.tolist())), {(b, a) for a, b in back.indices.tolist()}
        assert len(forth.indices) == len(back.indices) > 0
        np.testing.assert_allclose(sorted(forth.first.places.tolist()), sorted(back.second.places.tolist()), atol=1e-3)
        keypoints = {pair for pair in ours if max(pair) < 60}
        assert keypoints == {pair for pair in theirs if max(pair) < 60}

    def test_a_photo_s_keypoints_are_made_ready_once_for_all_its_pairs(self, matcher, views, monkeypatch):
        from reconflow.nets.mast3r import matcher as module

        built = []
        monkeypatch.setattr(module, "KDTree", lambda places: built.append(len(places)) or KDTree(places))
        matched(matcher, views, [(0, 1), (0, 2), (0, 3), (1, 2)])
        assert len(built) == 4

    def test_batches_shrink_until_they_fit(self, matcher, views, monkeypatch):
        from reconflow.nets.mast3r.model import Mast3r

        expected = matched(matcher, views, [(0, 1), (0, 3), (1, 3)])
        asked, plain = [], Mast3r.decode

        def decode(self, a, b, grids):
            asked.append(len(a))
            if len(a) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return plain(self, a, b, grids=grids)

        monkeypatch.setattr(Mast3r, "decode", decode)
        batch_runner.cache_clear()
        found = matched(matcher, views, [(0, 1), (0, 3), (1, 3)])
        assert asked == [6, 2, 2, 2]
        assert all(same(found[place], expected[place]) for place in range(3))
        matched(matcher, views, [(0, 1), (0, 3)])
        assert max(asked[4:]) == 2  # it is known by now
        batch_runner.cache_clear()

    def test_less_precision_keeps_most_matches(self, matcher, views):
        exact, rough = (matched(matcher, views, [(0, 3)], precision=name)[0] for name in ("fp32", "bf16"))
        assert len(rough.first) > 0.9 * len(exact.first)


class TestPlain(TileMatcherContract):
    @pytest.fixture
    def matcher(self, twin_weights):
        return Mast3rMatcher(file=twin_weights, acceptance_inliers=30, hybrid=False)

    def test_it_matches_points_only(self, matcher, views):
        for (i, j), matches in zip(self.PAIRS, self.in_order(matcher, views), strict=True):
            assert (matches.indices >= (len(views[i].features), len(views[j].features))).all()

    def test_both_go_by_their_registered_names(self, matcher, twin_weights):
        hybrid = Mast3rMatcher(file=twin_weights, acceptance_inliers=30)
        assert [matcher.name, hybrid.name] == ["mast3r", "mast3r_hybrid"]


@pytest.mark.usefixtures("weights")
class TestLighterGlue(TileMatcherContract):
    """On features of XFeat: three views of one picture, and one of another, of unequal numbers."""

    @pytest.fixture
    def matcher(self):
        return replace(create_matcher("lighterglue", extractor="xfeat"), batch=4)

    @pytest.fixture
    def views(self, extracted, make_features):
        a, b, c = extracted("xfeat")
        cut = ((a, 300), (b, 260), (a, 300), (c, 220))
        return [TileView(make_features(f.keypoints[:n], f.descriptors[:n], image_size=f.image_size)) for f, n in cut]

    def test_photos_without_keypoints_are_no_error(self, matcher, views, make_features):
        bare = TileView(make_features(np.zeros((0, 2)), np.zeros((0, 64), np.float16), image_size=(480, 360)))
        found = matched(matcher, [bare, views[1], bare], [(0, 1), (1, 2), (0, 2)])
        assert [len(matches) for matches in found.values()] == [0, 0, 0]


def test_either_order_of_a_pair_gives_the_same_matches(twin_weights, small_weights, views, photos):
    encodings = Mast3rEncoder(file=small_weights, long_edge_px=64).encode(photos[:2])
    pair = [TileView(view.features, encoding) for view, encoding in zip(views, encodings, strict=False)]
    matcher = Mast3rMatcher(file=small_weights, acceptance_inliers=30)
    forth, back = (matched(matcher, own, [(0, 1)])[0] for own in (pair, pair[::-1]))
    ours = {
        tuple(itertools.chain(a, b))
        for a, b in zip(forth.first.places.tolist(), forth.second.places.tolist(), strict=True)
    }
    theirs = {
        tuple(itertools.chain(a, b))
        for a, b in zip(back.second.places.tolist(), back.first.places.tolist(), strict=True)
    }
    assert len(ours & theirs) >= 0.95 * len(ours)
    assert len(ours) > 8
