"""LightGlue, and its small sibling LighterGlue for XFeat: a transformer that matches two sets of features at once.

Lindenberger, Sarlin and Pollefeys, "LightGlue: Local Feature Matching at Light Speed", ICCV 2023. kornia's module holds
the tensors; the forward pass here takes pairs of unequal size in one padded batch, for a GPU, and never holds a table
of all keypoints with all others before the last step. All layers run for every pair and nobody looks at what only
fills up, so a pair's matches do not depend on its company.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from kornia.feature import LightGlue
from kornia.feature.lightglue import apply_cached_rotary_emb
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from reconflow.config import MatchConfig, Precision
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.core.pairs import Pair
from reconflow.nets.batches import batch_runner, grouped, padded_count
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import Tensors, fill_module, load_tensors
from reconflow.nets.devices import autocast, models, on_device, torch_device
from reconflow.nets.nearest import one_to_one
from reconflow.nets.protocols import Finish, TileView
from reconflow.nets.weights import obtain_weights, sha256_of, weights_fingerprint

_FILTER = 0.1
"""Least probability of a match."""
_BATCH_ON_A_GPU = 16
_OPTIONS: Mapping[str, Mapping[str, int]] = {
    "lightglue-aliked": {"input_dim": 128},
    "lightglue-superpoint": {"input_dim": 256},
    "lighterglue-xfeat": {"input_dim": 64, "descriptor_dim": 96, "num_heads": 1},
}
_SKIPPED = ("extractor.",)
"""XFeat's authors keep their extractor's tensors in LighterGlue's file too; ours are in XFeat's own."""
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
    batch : int
        Pairs matched together, at first; fewer once memory ran out. By default 0, for what suits the device: one pair
        on a CPU, where more of them only leave the caches.

    """

    acceptance_inliers: int
    weights: str
    batch: int = 0
    encoder: str = ""

    @property
    def name(self) -> str:
        """Either ``lightglue`` or ``lighterglue``."""
        return self.weights.partition("-")[0]

    @property
    def made_with(self) -> str:
        """Revision, libraries, and the weights by their hash."""
        libraries = f"torch {version('torch')}, kornia {version('kornia')}"
        return f"lightglue 2, {libraries}, weights {weights_fingerprint(weights_named(self.weights))}"

    def match_tile(
        self, views: Sequence[TileView], pairs: Sequence[Pair], *, config: MatchConfig
    ) -> Iterator[tuple[int, Finish]]:
        """Yield each pair's place and what finishes it, pairs of about equally many keypoints together."""
        empty = [place for place, pair in enumerate(pairs) if not all(len(views[index].features) for index in pair)]
        yield from ((place, Matches.none) for place in empty)
        full = sorted(set(range(len(pairs))) - set(empty))
        if not full:
            return
        device = torch_device()
        model = network(self.weights, obtain_weights(weights_named(self.weights)), device)
        used = sorted({index for place in full for index in pairs[place]})
        keypoints = {index: Keypoints.of(views[index].features, device) for index in used}

        def matched(batch: Sequence[int]) -> list[Finish]:
            with torch.inference_mode():
                sides = (stacked([keypoints[pairs[place][side]] for place in batch]) for side in (0, 1))
                found = likely_matches(model, *sides, precision=config.precision)
            features = ([views[index].features for index in pairs[place]] for place in batch)
            return [partial(one_to_one, *own, rows) for own, rows in zip(features, found, strict=True)]

        def size(place: int) -> tuple[int, int]:
            first, second = (padded_count(len(views[index].features)) for index in pairs[place])
            return first, second

        most = self.batch or (_BATCH_ON_A_GPU if device.type == "cuda" else 1)
        for numbers in grouped(full, key=size):
            places = [full[number] for number in numbers]
            runner = batch_runner((self.weights, device.type), size(places[0]), most)
            yield from zip(places, runner.stream(matched, places), strict=True)


class Keypoints(NamedTuple):
    """What the network reads of one photo, on the device."""

    places: Tensor
    """(N, 2): from the centre of the photo, over half its longer edge."""
    descriptors: Tensor
    """(N, D)."""

    @classmethod
    def of(cls, features: Features, device: torch.device) -> "Keypoints":
        """Return a photo's keypoints."""
        size = np.array(features.image_size, np.float32)
        # The network was trained on pixels counted from the centre of the top-left one.
        places = ((features.keypoints - 0.5 - size / 2) / (size.max() / 2)).astype(np.float32)
        return cls(on_device(places, device), on_device(features.descriptors, device).float())


class Side(NamedTuple):
    """The first, or the second, photos of B pairs, filled up to N keypoints each."""

    places: Tensor
    """(B, N, 2)."""
    descriptors: Tensor
    """(B, N, D)."""
    real: Tensor | None
    """(B, N) bool: which of them there are; None where all are."""


def stacked(photos: Sequence[Keypoints]) -> Side:
    """Stack photos for the network."""
    counts = [len(photo.places) for photo in photos]
    places = pad_sequence([photo.places for photo in photos], batch_first=True)
    real = None
    if min(counts) < max(counts):
        ends = torch.tensor(counts).to(places.device)
        real = torch.arange(max(counts), device=places.device) < ends[:, None]
    return Side(places, pad_sequence([photo.descriptors for photo in photos], batch_first=True), real)


def likely_matches(model: LightGlue, first: Side, second: Side, *, precision: Precision) -> list[Array]:
    """Return the (M, 2) matches of each pair, the likeliest first.

    The layers run at a precision; places, sums and the assignment are in float32 all the same, since angles of
    bfloat16 are off by degrees and likelihoods are compared with each other.
    """
    device = first.places.device
    x, y = model.input_proj(first.descriptors), model.input_proj(second.descriptors)
    x_angles, y_angles = model.posenc(first.places), model.posenc(second.places)
    x_real, y_real = (None if side.real is None else side.real[:, None, None] for side in (first, second))
    with autocast(device, precision):
        for layer in model.transformers:
            x, y = _to_itself(layer.self_attn, x, x_angles, x_real), _to_itself(layer.self_attn, y, y_angles, y_real)
            x, y = _to_each_other(layer.cross_attn, x, y, x_real, y_real)
    scores = _assignment(model.log_assignment[-1], x.float(), y.float(), first.real, second.real)
    best, back = scores.max(dim=2), scores.max(dim=1)
    rows = torch.arange(scores.shape[1], device=device)
    kept = (back.indices.gather(1, best.indices) == rows) & (best.values > float(np.log(_FILTER)))
    partners, values, chosen = (each.cpu().numpy() for each in (best.indices, best.values, kept))
    found: list[Array] = []
    for partner, value, own in zip(partners, values, chosen, strict=True):
        here = np.flatnonzero(own)
        here = here[np.argsort(-value[here], kind="stable")]
        found.append(np.column_stack([here, partner[here]]))
    return found


def _to_itself(block: Any, x: Tensor, angles: Tensor, real: Tensor | None) -> Tensor:
    """Attention among the keypoints of one photo; ``real`` says which of them may be looked at."""
    queries, keys, values = block.Wqkv(x).unflatten(-1, (block.num_heads, -1, 3)).transpose(1, 2).unbind(-1)
    queries, keys = (apply_cached_rotary_emb(angles, part).to(values.dtype) for part in (queries, keys))
    return _added(block, x, block.out_proj(_attended(queries, keys, values, real)))


def _to_each_other(
    block: Any, x: Tensor, y: Tensor, x_real: Tensor | None, y_real: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention of each photo's keypoints to the other's."""
    x_keys, y_keys, x_values, y_values = (
        part.unflatten(-1, (block.heads, -1)).transpose(1, 2)
        for part in (block.to_qk(x), block.to_qk(y), block.to_v(x), block.to_v(y))
    )
    to_x = block.to_out(_attended(x_keys, y_keys, y_values, y_real))
    to_y = block.to_out(_attended(y_keys, x_keys, x_values, x_real))
    return _added(block, x, to_x), _added(block, y, to_y)


def _attended(queries: Tensor, keys: Tensor, values: Tensor, real: Tensor | None) -> Tensor:
    found = functional.scaled_dot_product_attention(
        queries.contiguous(), keys.contiguous(), values.contiguous(), attn_mask=real
    )
    return found.transpose(1, 2).flatten(start_dim=-2)


def _added(block: Any, x: Tensor, message: Tensor) -> Tensor:
    return x + block.ffn(torch.cat([x, message], -1))


def _assignment(head: Any, x: Tensor, y: Tensor, x_real: Tensor | None, y_real: Tensor | None) -> Tensor:
    """Return the (B, M, N) log-probabilities of each match; those with nothing are minus infinity."""
    scale = x.shape[-1] ** 0.25
    likeness = (head.final_proj(x) / scale) @ (head.final_proj(y) / scale).transpose(1, 2)
    nothing: Tensor | None = None
    if x_real is not None or y_real is not None:
        ones = torch.ones(1, 1, dtype=torch.bool, device=x.device)
        nothing = ~((ones if x_real is None else x_real)[:, :, None] & (ones if y_real is None else y_real)[:, None])
        likeness = likeness.masked_fill(nothing, -1e9)
    worth = functional.logsigmoid(head.matchability(x)) + functional.logsigmoid(head.matchability(y)).transpose(1, 2)
    scores = functional.log_softmax(likeness, dim=2) + functional.log_softmax(likeness, dim=1) + worth
    return scores if nothing is None else scores.masked_fill(nothing, -torch.inf)


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
    fill_module(model, tensors, path=path, skipped=_SKIPPED, derived=("confidence_thresholds",))
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
