"""LightGlue, and its small sibling LighterGlue for XFeat: a transformer that matches two sets of features at once.

Lindenberger, Sarlin and Pollefeys, "LightGlue: Local Feature Matching at Light Speed", ICCV 2023. kornia's module holds
the tensors and its layers; the forward pass here takes pairs of unequal size in one padded batch, for a GPU. All layers
run for every pair, so a pair's matches do not depend on its company.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kornia.feature import LightGlue
from torch import Tensor
from torch.nn import functional

from reconflow.config import MatchConfig
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.nets.checkpoint import Tensors, fill_module, load_tensors
from reconflow.nets.devices import models, torch_device
from reconflow.nets.nearest import one_to_one
from reconflow.nets.weights import obtain_weights, sha256_of, weights_fingerprint, weights_named

_FILTER = 0.1
"""Least probability of a match."""
_OPTIONS: Mapping[str, Mapping[str, int]] = {
    "lightglue-aliked": {"input_dim": 128},
    "lightglue-superpoint": {"input_dim": 256},
    "lighterglue-xfeat": {"input_dim": 64, "descriptor_dim": 96, "num_heads": 1},
}
_SIZES = {"descriptor_dim": 256, "num_heads": 4}


@dataclass(frozen=True)
class LightGlueMatcher:
    """LightGlue on the device at hand; the network is loaded by the first pair.

    Parameters
    ----------
    acceptance_inliers : int
        Level of evidence.
    weights : str
        The weights' name: ``lightglue-aliked``, ``lightglue-superpoint`` or ``lighterglue-xfeat``.

    """

    acceptance_inliers: int
    weights: str

    @property
    def name(self) -> str:
        """Either ``lightglue`` or ``lighterglue``."""
        return self.weights.partition("-")[0]

    @property
    def made_with(self) -> str:
        """Revision, libraries, and the weights by their hash."""
        libraries = f"torch {version('torch')}, kornia {version('kornia')}"
        return f"lightglue 1, {libraries}, weights {weights_fingerprint(weights_named(self.weights))}"

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return the matches the network finds likely."""
        return self.match_many([(a, b)], config=config)[0]

    def match_many(self, pairs: Sequence[tuple[Features, Features]], *, config: MatchConfig) -> list[Matches]:
        """Return the matches of each pair, all of them in one padded batch."""
        found = [Matches.none() for _ in pairs]
        full = [number for number, (a, b) in enumerate(pairs) if len(a) and len(b)]
        if full:
            device = torch_device()
            model = network(self.weights, obtain_weights(weights_named(self.weights)), device)
            with torch.inference_mode():
                first, second = (batch([pairs[number][side] for number in full], device) for side in (0, 1))
                results = matches_in(model, first, second)
            for number, indices in zip(full, results, strict=True):
                found[number] = one_to_one(*pairs[number], indices.cpu().numpy())
        return found


@dataclass(frozen=True)
class Batch:
    """Feature sets of B photos, filled up with nothing to N keypoints each."""

    places: Tensor
    """(B, N, 2): keypoints from the centre of the photo, over half its longer edge."""
    descriptors: Tensor
    """(B, N, D)."""
    mask: Tensor | None
    """(B, 1, N, 1) bool: which keypoints are real; None where all are."""


def batch(features: Sequence[Features], device: torch.device) -> Batch:
    """Stack feature sets for the network."""
    most = max(len(f) for f in features)
    places = np.zeros((len(features), most, 2), np.float32)
    descriptors = np.zeros((len(features), most, features[0].descriptors.shape[1]), np.float32)
    mask = np.zeros((len(features), 1, most, 1), bool)
    for row, f in enumerate(features):
        size = np.array(f.image_size, np.float32)
        # The network was trained on pixels counted from the centre of the top-left one.
        places[row, : len(f)] = (f.keypoints - 0.5 - size / 2) / (size.max() / 2)
        descriptors[row, : len(f)] = f.descriptors
        mask[row, :, : len(f)] = True
    return Batch(
        places=torch.from_numpy(places).to(device),
        descriptors=torch.from_numpy(descriptors).to(device),
        mask=None if mask.all() else torch.from_numpy(mask).to(device),
    )


def matches_in(model: LightGlue, first: Batch, second: Batch) -> list[Tensor]:
    """Return the (M, 2) matches of each pair, the likeliest first."""
    x, y = model.input_proj(first.descriptors), model.input_proj(second.descriptors)
    x_places, y_places = model.posenc(first.places), model.posenc(second.places)
    masks = (first.mask, second.mask)
    if masks[0] is not None or masks[1] is not None:
        masks = tuple(_all_real(side) if side.mask is None else side.mask for side in (first, second))
    for layer in model.transformers:
        x, y = layer(x, y, x_places, y_places, mask0=masks[0], mask1=masks[1])
    scores = _assignment(model.log_assignment[-1], x, y, masks)
    best, second_best = scores.max(dim=2), scores.max(dim=1)
    rows = torch.arange(scores.shape[1], device=scores.device)
    likely = best.values > float(np.log(_FILTER))
    kept = (second_best.indices.gather(1, best.indices) == rows) & likely
    found: list[Tensor] = []
    for pair in range(len(scores)):
        here = torch.nonzero(kept[pair])[:, 0]
        order = torch.sort(best.values[pair, here], descending=True, stable=True).indices
        here = here[order]
        found.append(torch.stack([here, best.indices[pair, here]], dim=1))
    return found


def _all_real(side: Batch) -> Tensor:
    return torch.ones_like(side.places[:, None, :, :1], dtype=torch.bool)


def _assignment(head: Any, x: Tensor, y: Tensor, masks: tuple[Tensor | None, ...]) -> Tensor:
    """Return the (B, M, N) log-probabilities of each match; those with nothing are minus infinity."""
    scale = x.shape[-1] ** 0.25
    likeness = (head.final_proj(x) / scale) @ (head.final_proj(y) / scale).transpose(1, 2)
    real = None if masks[0] is None or masks[1] is None else (masks[0] & masks[1].transpose(2, 3))[:, 0]
    if real is not None:
        likeness = likeness.masked_fill(~real, -1e9)
    worth = functional.logsigmoid(head.matchability(x)) + functional.logsigmoid(head.matchability(y)).transpose(1, 2)
    scores = functional.log_softmax(likeness, dim=2) + functional.log_softmax(likeness, dim=1) + worth
    return scores if real is None else scores.masked_fill(~real, -torch.inf)


def network(weights: str, path: Path, device: torch.device) -> LightGlue:
    """Return the network of a file, with as many layers as the file has."""
    return models().get((weights, sha256_of(path), device), lambda: _loaded(weights, path).to(device))


def _loaded(weights: str, path: Path) -> LightGlue:
    tensors = renamed(load_tensors(path))
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("transformers."))
    options = {**_SIZES, **_OPTIONS[weights], "n_layers": layers, "flash": False}
    flash = torch.backends.cuda.flash_sdp_enabled()
    model = LightGlue(None, depth_confidence=-1, width_confidence=-1, filter_threshold=_FILTER, **options)  # pyright: ignore
    torch.backends.cuda.enable_flash_sdp(flash)  # kornia's module turns it off for the whole process, MASt3R too
    fill_module(model, tensors, path=path, derived=("confidence_thresholds",))
    return model


def renamed(tensors: Tensors) -> Tensors:
    """Return the tensors of an older file under the names of today.

    >>> list(renamed({"matcher.self_attn.3.Wqkv.weight": 0}))
    ['transformers.3.self_attn.Wqkv.weight']
    """
    found: Tensors = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("matcher.")
        found[re.sub(r"^(self_attn|cross_attn)\.(\d+)\.", r"transformers.\2.\1.", name)] = tensor
    return found
