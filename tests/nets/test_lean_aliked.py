"""The lean forward pass against kornia's, on the same weights."""

import numpy as np
import pytest
import torch
from kornia.feature import ALIKED

from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import fill_module, load_tensors
from reconflow.nets.lean_aliked import LeanAliked
from reconflow.nets.weights import find_weights

MODELS = ("aliked-t16", "aliked-n16", "aliked-n16rot", "aliked-n32")


def loaded(name: str, **options) -> ALIKED:
    model = ALIKED(name, **options)
    path, _ = find_weights(weights_named(name))
    fill_module(model, load_tensors(path), path=path, derived=("dkd.hw_grid",))
    return model


def pixels(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255


@pytest.fixture(params=MODELS)
def both(request, weights):
    """kornia's model and the lean one."""
    return loaded(request.param, max_num_keypoints=300), LeanAliked(loaded(request.param))


@pytest.mark.parametrize("crop", [(360, 480), (333, 417)])
@torch.inference_mode()
def test_the_scores_are_those_of_kornia(both, texture, crop):
    image = pixels(texture[: crop[0], : crop[1]])
    theirs, ours = both
    expected = theirs.extract_dense_map(image[None])[1][0, 0]
    assert (ours.score_maps(image[None])[0][0] - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_keypoints_scores_and_descriptors_are_those_of_kornia(both, texture):
    image = pixels(texture)
    theirs, ours = both
    expected = theirs(image[None])[0]
    found = ours(image, threshold=0.2, at_most=300)
    gaps = torch.cdist(expected.keypoints, found.keypoints, compute_mode="donot_use_mm_for_euclid_dist")
    gap, row = gaps.min(dim=1)
    common = gap < 1e-3
    assert len(found.keypoints) == len(expected.keypoints)
    assert common.float().mean() > 0.99  # at the limit of 300 two scores may change places
    assert (found.scores[row] - expected.keypoint_scores)[common].abs().max() < 1e-4
    assert (found.descriptors[row] - expected.descriptors)[common].abs().max() < 1e-3
    assert (found.scores.diff() <= 0).all()


@torch.inference_mode()
def test_keypoints_lie_only_where_they_may(weights, texture):
    allowed = torch.zeros(texture.shape[:2], dtype=torch.bool)
    allowed[100:200, 100:300] = True
    model = LeanAliked(loaded("aliked-t16"))
    found = model(pixels(texture), threshold=0.2, at_most=500, allowed=allowed).keypoints
    assert len(found) > 20
    assert (found >= 97).all()
    assert (found <= torch.tensor([302, 202])).all()
