"""The batched forward pass against kornia's own, on seeded random weights."""

import numpy as np
import pytest
import torch
from kornia.feature import LightGlue

from reconflow.config import MatchConfig
from reconflow.nets.devices import models
from reconflow.nets.lightglue import LightGlueMatcher, renamed

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
def photos(make_features):
    """Feature sets of unequal size that share some keypoints, and one without any."""
    rng = np.random.default_rng(0)
    points = rng.uniform(5, 470, (300, 2))
    descriptors = rng.normal(size=(300, 128))
    descriptors = (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float16)
    chosen = [rng.permutation(300)[:count] for count in (200, 150, 90)]
    made = [make_features(points[rows], descriptors[rows], image_size=(480, 480)) for rows in chosen]
    return [*made, make_features(np.zeros((0, 2)), np.zeros((0, 128), np.float16))]


def by_kornia(model, a, b):
    def side(f):
        return {
            "keypoints": torch.tensor(f.keypoints - 0.5)[None],
            "descriptors": torch.tensor(f.descriptors.astype(np.float32))[None],
            "image_size": torch.tensor([f.image_size]),
        }

    with torch.inference_mode():
        return {tuple(row) for row in model({"image0": side(a), "image1": side(b)})["matches"][0].tolist()}


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (2, 0)])
def test_matches_are_those_of_kornia(matcher, theirs, photos, pair):
    a, b = photos[pair[0]], photos[pair[1]]
    expected = by_kornia(theirs, a, b)
    assert len(expected) > 10
    assert {tuple(row) for row in matcher.match(a, b, config=MatchConfig()).indices.tolist()} == expected


def test_a_pair_matches_the_same_in_any_company(matcher, photos):
    pairs = [(photos[i], photos[j]) for i, j in ((0, 1), (1, 2), (3, 0), (2, 0))]
    together = matcher.match_many(pairs, config=MatchConfig())
    for (a, b), found in zip(pairs, together, strict=True):
        assert np.array_equal(found.indices, matcher.match(a, b, config=MatchConfig()).indices)
    assert len(together[2]) == 0


def test_an_old_file_is_read_under_the_names_of_today(theirs):
    state = theirs.state_dict()
    old = {f"matcher.{name.replace('transformers.1.self_attn', 'self_attn.1')}": value for name, value in state.items()}
    assert renamed(old).keys() == state.keys()


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
        matcher.match(photos[0], photos[1], config=MatchConfig())
        assert torch.backends.cuda.flash_sdp_enabled() == allowed
    finally:
        torch.backends.cuda.enable_flash_sdp(before)
