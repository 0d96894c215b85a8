"""LightGlue, and its small sibling LighterGlue for XFeat: a transformer that matches two sets of features at once.

Lindenberger, Sarlin and Pollefeys, "LightGlue: Local Feature Matching at Light Speed", ICCV 2023. kornia's module holds
the tensors; the forward pass is :mod:`reconflow.nets.lean_lightglue`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from kornia.feature import LightGlue

from reconflow.config import MatchConfig
from reconflow.core.matches import Matches
from reconflow.core.pairs import Pair
from reconflow.nets.batches import batch_runner, grouped, padded_count
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import Tensors, fill_module, load_tensors
from reconflow.nets.devices import models, torch_device
from reconflow.nets.lean_lightglue import FILTER, Keypoints, likely_matches, stacked
from reconflow.nets.nearest import one_to_one
from reconflow.nets.protocols import Finish, TileView
from reconflow.nets.weights import obtain_weights, sha256_of, weights_fingerprint

_BATCH_ON_A_GPU = 16
_SURE = {"depth_confidence": 0.95, "width_confidence": 0.99}
"""From which share of sure keypoints on a pair needs no further layer, and how sure a keypoint must be to have no match
to be left out: the authors' values."""
_OPTIONS: Mapping[str, Mapping[str, float]] = {
    "lightglue-aliked": {"input_dim": 128, **_SURE},
    "lightglue-superpoint": {"input_dim": 256, **_SURE},
    "lighterglue-xfeat": {
        "input_dim": 64, "descriptor_dim": 96, "num_heads": 1, "depth_confidence": -1, "width_confidence": 0.95,
    },
}  # fmt: skip
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
        return f"lightglue 3, {libraries}, weights {weights_fingerprint(weights_named(self.weights))}"

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


def network(weights: str, path: Path, device: torch.device) -> LightGlue:
    """Return the network of a file, with as many layers as the file has."""
    return models().get((weights, sha256_of(path), device), lambda: _loaded(weights, path).to(device))


def _loaded(weights: str, path: Path) -> LightGlue:
    tensors = renamed(load_tensors(path))
    numbers = [int(name.split(".")[1]) for name in tensors if name.startswith("transformers.")]
    layers = 1 + max(numbers, default=0)
    options = {**_SIZES, **_OPTIONS[weights], "n_layers": layers, "flash": False}
    flash = torch.backends.cuda.flash_sdp_enabled()
    model = LightGlue(None, filter_threshold=FILTER, **options)  # pyright: ignore[reportArgumentType]
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
