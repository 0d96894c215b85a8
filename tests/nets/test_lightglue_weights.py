"""LightGlue with the weights that its authors published, on ALIKED's features of pictures whose truth is known."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from kornia.feature import LightGlue

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.nets.catalogue import weights_named
from reconflow.nets.devices import models
from reconflow.nets.lightglue import renamed
from reconflow.nets.protocols import TileView
from reconflow.nets.registry import create_extractor, create_matcher
from reconflow.nets.weights import sha256_of

EXTRACTOR = "aliked-n16rot"
CONFIG = ExtractConfig(extractor=EXTRACTOR, max_keypoints=512)


@pytest.fixture(scope="module")
def published():
    folder = os.environ.get("RECONFLOW_TEST_LIGHTGLUE")
    if not folder:
        pytest.skip("RECONFLOW_TEST_LIGHTGLUE names no folder")
    return Path(folder) / "aliked_lightglue.pth"


@pytest.fixture
def at_hand(published, weights, tmp_path, monkeypatch):
    """LightGlue's weights and ALIKED's in one folder."""
    for path in (published, weights / "aliked" / f"{EXTRACTOR}.pth"):
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    models().clear()
    yield
    models().clear()


@pytest.fixture
def photos(at_hand, texture, warped, other_texture):
    extractor = create_extractor(EXTRACTOR)
    return [extractor.extract(picture, config=CONFIG) for picture in (texture, warped, other_texture)]


def matched(photos, pairs):
    matcher = create_matcher("lightglue", extractor=EXTRACTOR)
    found = dict(matcher.match_tile([TileView(photo) for photo in photos], pairs, config=MatchConfig(precision="fp32")))
    return [found[place]().indices for place in range(len(pairs))]


def test_the_file_is_the_one_that_is_known(published):
    assert sha256_of(published) == weights_named("lightglue-aliked").files[0].sha256


def test_it_joins_what_is_the_same_and_little_else(photos, affine):
    same, unrelated = matched(photos, [(0, 1), (0, 2)])
    first, second = photos[0].keypoints[same[:, 0]], photos[1].keypoints[same[:, 1]]
    off_px = np.linalg.norm(first @ affine[:, :2].T + affine[:, 2] - second, axis=1)
    assert len(same) >= 200
    assert (off_px < 3).mean() > 0.97
    assert len(unrelated) < len(same) / 4


def test_it_finds_what_kornia_finds(photos, published, by_kornia):
    theirs = LightGlue(None, input_dim=128, flash=False).eval()  # as it comes: sure pairs and keypoints are left out
    kept = theirs.load_state_dict(renamed(torch.load(published, weights_only=True)), strict=False)
    assert kept.missing_keys in ([], ["confidence_thresholds"])

    ours = {tuple(row) for row in matched(photos, [(0, 1)])[0].tolist()}
    assert len(ours) >= 200
    assert ours == by_kornia(theirs, photos[0], photos[1])
