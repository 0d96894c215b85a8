"""Pairs and keypoints that LightGlue is sure of are left out as kornia leaves them out, in any company."""

import numpy as np
import pytest
import torch
from kornia.feature import LightGlue

from reconflow.nets import lean_lightglue
from reconflow.nets.lean_lightglue import Keypoints, likely_matches, stacked

PAIRS = [(0, 1), (2, 3), (1, 2), (4, 5)]


@pytest.fixture(scope="module")
def photos(make_features, scattered):
    """Pairs of photos with all keypoints in common, with half of them, and with none."""
    rng = np.random.default_rng(0)
    points, descriptors = scattered(rng, 700)
    spans = [(0, 120), (0, 120), (150, 350), (250, 420), (450, 550), (560, 690)]
    rows = [rng.permutation(np.arange(*span)) for span in spans]
    return [make_features(points[own], descriptors[own], image_size=(480, 480)) for own in rows]


def seeded(*, depth, width, sure=0.0, matchable=4.0):
    """A network of five layers whose opinions of keypoints differ."""
    torch.manual_seed(3)
    model = LightGlue(
        None,
        input_dim=128,
        n_layers=5,
        flash=False,
        filter_threshold=0.1,
        depth_confidence=depth,
        width_confidence=width,
    ).eval()
    for head in model.log_assignment:
        head.matchability.weight.data.mul_(12)
        head.matchability.bias.data.fill_(matchable)
        head.final_proj.weight.data.mul_(12)
    for number, confidence in enumerate(model.token_confidence):
        confidence.token[0].weight.data.mul_(4)
        confidence.token[0].bias.data.fill_(sure + number / 4)
    return model


def ours(model, photos, pairs):
    keypoints = [Keypoints.of(photo, torch.device("cpu")) for photo in photos]
    sides = (stacked([keypoints[pair[side]] for pair in pairs]) for side in (0, 1))
    return [set(map(tuple, rows.tolist())) for rows in likely_matches(model, *sides, precision="fp32")]


@pytest.fixture
def work(monkeypatch):
    """How many pairs went through each layer, of how many keypoints."""
    further, told = lean_lightglue._further, []

    def spied(layer, sides):
        told.append(tuple(sides[0].values.shape[:2]))
        return further(layer, sides)

    monkeypatch.setattr(lean_lightglue, "_further", spied)
    return told


@pytest.mark.parametrize(("depth", "width", "sure"), [(0.8, 0.7, 1.0), (0.95, 0.99, 0.0), (-1, 0.7, 0.0)])
def test_what_is_sure_is_left_out_as_kornia_does(photos, by_kornia, depth, width, sure):
    model = seeded(depth=depth, width=width, sure=sure)
    expected = [by_kornia(model, photos[a], photos[b]) for a, b in PAIRS]
    assert len(expected[0]) > 40
    assert [ours(model, photos, [pair])[0] for pair in PAIRS] == expected
    assert ours(model, photos, PAIRS) == expected


def test_what_is_sure_costs_no_more_work(photos, work):
    ours(seeded(depth=0.8, width=0.7, sure=1.0), photos, PAIRS)
    pairs, keypoints = zip(*work, strict=True)
    assert pairs == (4, 4, 3)  # the pair that is sure goes after two layers, the others after three of five
    assert keypoints[0] == 200
    assert keypoints[1] > keypoints[2]


def test_of_photos_that_match_nothing_no_keypoint_is_left(photos, work):
    assert ours(seeded(depth=-1, width=0.95, matchable=-300.0), photos, PAIRS) == [set()] * len(PAIRS)
    assert work == [(4, 200)]
