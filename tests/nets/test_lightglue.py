"""The batched forward pass against kornia's own, on seeded random weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from kornia.feature import LightGlue

from reconflow.config import MatchConfig
from reconflow.nets import lightglue
from reconflow.nets.batches import batch_runner
from reconflow.nets.devices import models
from reconflow.nets.lightglue import LightGlueMatcher, likely_matches, renamed
from reconflow.nets.protocols import TileView
from reconflow.nets.registry import create_matcher

OPTIONS = {"depth_confidence": -1, "width_confidence": -1, "flash": False, "filter_threshold": 0.1}


@pytest.fixture(scope="module")
def theirs() -> LightGlue:
    """kornia's LightGlue for ALIKED, with three layers of seeded weights that match descriptors that are alike."""
    torch.manual_seed(3)
    model = LightGlue(None, input_dim=128, n_layers=3, **OPTIONS).eval()
    for head in model.log_assignment:
        head.matchability.bias.data.fill_(4.0)
    model.log_assignment[-1].final_proj.weight.data.mul_(12)
    return model


@pytest.fixture
def matcher(theirs, tmp_path, monkeypatch) -> LightGlueMatcher:
    torch.save(theirs.state_dict(), tmp_path / "aliked_lightglue.pth")
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    return LightGlueMatcher(30, "lightglue-aliked")


@pytest.fixture(scope="module")
def photos(make_features, scattered):
    """Feature sets of unequal size that share some keypoints, and one without any."""
    rng = np.random.default_rng(0)
    points, descriptors = scattered(rng, 300)
    chosen = [rng.permutation(300)[:count] for count in (200, 150, 90)]
    made = [make_features(points[rows], descriptors[rows], image_size=(480, 480)) for rows in chosen]
    return [*made, make_features(np.zeros((0, 2)), np.zeros((0, 128), np.float16))]


def matched(matcher, photos, pairs, **options):
    found = matcher.match_tile([TileView(photo) for photo in photos], pairs, config=MatchConfig(**options))
    made = {place: finish().indices for place, finish in found}
    return [made[place] for place in range(len(pairs))]


@pytest.fixture
def spy(monkeypatch):
    """How many pairs went through the network at a time; ``room`` says how many fit."""

    class Spy:
        room = 100
        asked: list[int]

        def __init__(self):
            self.asked = []

        def __call__(self, model, first, second, *, precision):
            self.asked.append(len(first.places))
            if len(first.places) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return likely_matches(model, first, second, precision=precision)

    made = Spy()
    monkeypatch.setattr(lightglue, "likely_matches", made)
    batch_runner.cache_clear()
    yield made
    batch_runner.cache_clear()


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (2, 0)])
def test_matches_are_those_of_kornia(matcher, theirs, photos, pair, by_kornia):
    expected = by_kornia(theirs, photos[pair[0]], photos[pair[1]])
    assert len(expected) > 10
    (found,) = matched(matcher, photos, [pair])
    assert {tuple(row) for row in found.tolist()} == expected


PAIRS = [(0, 1), (1, 2), (3, 0), (2, 0), (1, 0), (2, 1)]


def test_a_pair_matches_the_same_in_any_company(matcher, photos, spy):
    together = matched(replace(matcher, batch=4), photos, PAIRS)
    assert spy.asked == [4, 1]  # the pair without keypoints asks nobody
    for pair, found in zip(PAIRS, together, strict=True):
        assert np.array_equal(found, matched(matcher, photos, [pair])[0])
    assert set(spy.asked[2:]) == {1}
    assert len(together[2]) == 0


def test_real_weights_match_the_same_in_any_company(weights, extracted):
    tiles = create_matcher("lighterglue", extractor="xfeat")
    photos = [subset(extracted("xfeat")[number], count) for number, count in ((0, 800), (1, 700), (2, 640), (1, 520))]
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (3, 2)]
    alone, together = (matched(replace(tiles, batch=batch), photos, pairs) for batch in (1, 8))
    assert len(alone[0]) > 50
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_less_precision_keeps_most_matches(weights, extracted):
    tiles = create_matcher("lighterglue", extractor="xfeat")
    (exact,), (rough,) = (matched(tiles, extracted("xfeat"), [(0, 1)], precision=name) for name in ("fp32", "bf16"))
    kept = set(map(tuple, exact.tolist())) & set(map(tuple, rough.tolist()))
    assert len(kept) >= 0.95 * len(exact)


def test_only_pairs_of_about_equal_size_share_a_batch(matcher, make_features, spy):
    rng = np.random.default_rng(1)
    descriptors = rng.normal(size=(1100, 128)).astype(np.float16)
    sets = [
        make_features(rng.uniform(5, 470, (n, 2)), descriptors[:n], image_size=(480, 480))
        for n in (400, 500, 600, 1100)
    ]
    matched(replace(matcher, batch=8), sets, [(0, 1), (0, 2), (1, 2), (0, 3), (1, 0)])
    assert spy.asked == [2, 2, 1]


def test_batches_shrink_until_they_fit_and_nothing_is_lost(matcher, photos, spy):
    expected = matched(matcher, photos, PAIRS)
    spy.asked.clear()
    spy.room = 2
    shrinking = replace(matcher, batch=5)
    for found in (matched(shrinking, photos, PAIRS), matched(shrinking, photos, PAIRS)):
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert spy.asked == [5, 2, 2, 1, 2, 2, 1]  # what is too large is found out once


def subset(features, count):
    names = ("keypoints", "scales", "orientations", "scores", "descriptors", "colors")
    return replace(features, **{name: getattr(features, name)[:count] for name in names})


def test_an_old_file_is_read_under_the_names_of_today(theirs):
    state = theirs.state_dict()
    old = {f"matcher.{name.replace('transformers.1.self_attn', 'self_attn.1')}": value for name, value in state.items()}
    assert renamed(old).keys() == state.keys()


def test_a_file_that_holds_the_extractor_too_matches_the_same(matcher, photos, tmp_path, theirs):
    """As XFeat's authors publish LighterGlue."""
    before = matched(matcher, photos, [(0, 1)])
    both = {f"matcher.{name}": value for name, value in theirs.state_dict().items()}
    torch.save({"extractor.model.net.weight": torch.ones(1), **both}, tmp_path / "aliked_lightglue.pth")
    models().clear()
    after = matched(matcher, photos, [(0, 1)])
    assert len(after[0])
    assert np.array_equal(after[0], before[0])


def test_the_weights_are_part_of_the_cache_key(matcher, tmp_path, theirs):
    before = matcher.made_with
    torch.save({**theirs.state_dict(), "extra": torch.ones(1)}, tmp_path / "aliked_lightglue.pth")
    assert matcher.made_with != before


@pytest.mark.parametrize("allowed", [True, False])
def test_loading_it_leaves_the_attention_of_other_networks_alone(matcher, photos, allowed):
    before = torch.backends.cuda.flash_sdp_enabled()
    try:
        torch.backends.cuda.enable_flash_sdp(allowed)
        models().clear()
        matched(matcher, photos, [(0, 1)])
        assert torch.backends.cuda.flash_sdp_enabled() == allowed
    finally:
        torch.backends.cuda.enable_flash_sdp(before)
