"""The forward pass of LightGlue for many pairs at once, which leaves out what the network is sure of.

Lindenberger, Sarlin and Pollefeys, "LightGlue: Local Feature Matching at Light Speed", ICCV 2023. Pairs of unequal size
are filled up to one batch. After each layer a pair leaves the batch once nearly all of its keypoints are sure of what
they match, and a keypoint leaves its pair once it is sure to match nothing; the authors (and kornia, whose module holds
the tensors here) do so with one pair at a time. Nobody looks at what only fills up, so a pair's matches do not depend
on its company, and no table of all keypoints with all others is held before a pair's last step.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from kornia.feature import LightGlue
from kornia.feature.lightglue import apply_cached_rotary_emb
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from reconflow.config import Precision
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.devices import autocast, on_device

FILTER = 0.1
"""Least probability of a match."""


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
    counts: tuple[int, ...]
    """How many of the N each photo has; at least one."""


def stacked(photos: Sequence[Keypoints]) -> Side:
    """Stack photos for the network."""
    counts = tuple(len(photo.places) for photo in photos)
    places, descriptors = zip(*photos, strict=True)
    return Side(pad_sequence(list(places), batch_first=True), pad_sequence(list(descriptors), batch_first=True), counts)


class _Tokens(NamedTuple):
    """What the layers have made of one side of the pairs under way."""

    values: Tensor
    """(B, N, D)."""
    angles: Tensor
    """(2, B, 1, N, F): cosines and sines of where they are."""
    numbers: Tensor
    """(B, N): which keypoints of their photos they are."""
    real: Tensor
    """(B, N) bool: which of them there are, the first ones of each pair; the others only fill up."""
    counts: tuple[int, ...]
    """How many these are, known without asking the device."""

    @property
    def mask(self) -> Tensor | None:
        """(B, 1, 1, N) bool: which of them may be looked at; None where all may."""
        return None if min(self.counts) == self.values.shape[1] else self.real[:, None, None]

    def of_pairs(self, places: Sequence[int]) -> "_Tokens":
        """Return those of some of the pairs."""
        if len(places) == len(self.counts):
            return self
        rows = torch.tensor(places).to(self.values.device)
        counts = tuple(self.counts[place] for place in places)
        return _Tokens(self.values[rows], self.angles[:, rows], self.numbers[rows], self.real[rows], counts)

    def only(self, kept: Tensor, counts: tuple[int, ...]) -> "_Tokens":
        """Return those of a (B, N) choice, of which there are so many in each pair, in the order they are in."""
        if counts == self.counts:
            return self
        chosen = kept.byte().argsort(dim=1, descending=True, stable=True)[:, : max(counts)]
        rows = torch.arange(len(counts), device=chosen.device)[:, None]
        angles = self.angles[:, rows, 0, chosen][:, :, None]
        return _Tokens(self.values[rows, chosen], angles, self.numbers[rows, chosen], kept[rows, chosen], counts)


_Sides = tuple[_Tokens, _Tokens]


@torch.inference_mode()
def likely_matches(model: LightGlue, first: Side, second: Side, *, precision: Precision) -> list[Array]:
    """Return the (M, 2) matches of each pair, the likeliest first.

    The layers run at a precision; places, sums, what the network is sure of and the assignment are in float32 all the
    same, since angles of bfloat16 are off by degrees and likelihoods are compared with each other.
    """
    sizes = [sum(counts) for counts in zip(first.counts, second.counts, strict=True)]
    sides = _begun(model, first), _begun(model, second)
    under_way = list(range(len(sizes)))
    found: dict[int, Array] = {}
    for number, (layer, head) in enumerate(zip(model.transformers, model.log_assignment, strict=True)):
        with autocast(sides[0].values.device, precision):
            sides = _further(layer, sides)
        if number == len(model.transformers) - 1:
            found |= _settled(head, sides, under_way, range(len(under_way)))
            break
        verdict = _verdict(model, number, sides, [sizes[pair] for pair in under_way])
        found |= _settled(head, sides, under_way, verdict.sure)
        under_way = [under_way[place] for place in verdict.unsure]
        if not under_way:
            break
        sides = verdict.left(sides)
    return [found.get(pair, np.zeros((0, 2), np.int64)) for pair in range(len(sizes))]


def _begun(model: LightGlue, side: Side) -> _Tokens:
    pairs, most, _ = side.places.shape
    numbers = torch.arange(most, device=side.places.device).expand(pairs, -1)
    real = numbers < torch.tensor(side.counts).to(numbers.device)[:, None]
    return _Tokens(model.input_proj(side.descriptors), model.posenc(side.places), numbers, real, side.counts)


class _Verdict(NamedTuple):
    """What the network is sure of after a layer."""

    sure: list[int]
    """The places of pairs that need no further layer."""
    unsure: list[int]
    """Of those that do. Pairs with a photo of which no keypoint is left are neither."""
    kept: tuple[Tensor, ...]
    """(B, N) bool for each side: which keypoints may have a match."""
    counts: tuple[tuple[int, ...], ...]
    """How many these are in each pair, for each side."""

    def left(self, sides: _Sides) -> _Sides:
        """Return what goes on to the next layer."""
        x, y = (
            side.of_pairs(self.unsure).only(kept[self.unsure], tuple(counts[place] for place in self.unsure))
            for side, kept, counts in zip(sides, self.kept, self.counts, strict=True)
        )
        return x, y


def _verdict(model: Any, number: int, sides: _Sides, sizes: Sequence[int]) -> _Verdict:
    """Return what the network is sure of after a layer; ``sizes`` is how many keypoints pairs had at first."""
    enough = model.conf.depth_confidence
    in_doubt = [torch.zeros_like(side.real) for side in sides]
    if enough > 0:
        least = model.confidence_thresholds[number]
        in_doubt = [model.token_confidence[number].token(side.values).squeeze(-1) <= least for side in sides]
    matchable = [
        model.log_assignment[number].get_matchability(side.values) > 1 - model.conf.width_confidence for side in sides
    ]
    kept = tuple((one | other) & side.real for one, other, side in zip(in_doubt, matchable, sides, strict=True))
    doubts = torch.stack([(one & side.real).sum(1) for one, side in zip(in_doubt, sides, strict=True)]).sum(0)
    share = 1 - doubts / torch.tensor(sizes).to(doubts.device)
    done = share > enough if enough > 0 else torch.zeros_like(share)
    ended, *left = torch.stack([done.long(), *(side.sum(1) for side in kept)]).tolist()  # the one wait for the device
    places = range(len(sizes))
    unsure = [place for place in places if not ended[place] and all(counts[place] for counts in left)]
    return _Verdict([place for place in places if ended[place]], unsure, kept, tuple(map(tuple, left)))


def _further(layer: Any, sides: _Sides) -> _Sides:
    """Return what one more layer makes of both sides."""
    first, second = sides
    x = _to_itself(layer.self_attn, first.values, first.angles, first.mask)
    y = _to_itself(layer.self_attn, second.values, second.angles, second.mask)
    x, y = _to_each_other(layer.cross_attn, x, y, first.mask, second.mask)
    return first._replace(values=x.float()), second._replace(values=y.float())


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


def _settled(head: Any, sides: _Sides, pairs: Sequence[int], places: Sequence[int]) -> dict[int, Array]:
    """Return the matches of the pairs at some places, the likeliest first, by the pairs' numbers."""
    if not places:
        return {}
    x, y = (side.of_pairs(places) for side in sides)
    scores = _assignment(head, x, y)
    best, back = scores.max(dim=2), scores.max(dim=1)
    rows = torch.arange(scores.shape[1], device=scores.device)
    kept = (back.indices.gather(1, best.indices) == rows) & (best.values > float(np.log(FILTER)))
    partners = y.numbers.gather(1, best.indices)
    told = [each.cpu().numpy() for each in (x.numbers, partners, best.values, kept)]
    found: dict[int, Array] = {}
    for place, number, partner, value, own in zip(places, *told, strict=True):
        here = np.flatnonzero(own)
        here = here[np.argsort(-value[here], kind="stable")]
        found[pairs[place]] = np.column_stack([number[here], partner[here]])
    return found


def _assignment(head: Any, x: _Tokens, y: _Tokens) -> Tensor:
    """Return the (B, M, N) log-probabilities of each match; those with nothing are minus infinity."""
    scale = x.values.shape[-1] ** 0.25
    likeness = (head.final_proj(x.values) / scale) @ (head.final_proj(y.values) / scale).transpose(1, 2)
    nothing: Tensor | None = None
    if x.mask is not None or y.mask is not None:
        nothing = ~(x.real[:, :, None] & y.real[:, None])
        likeness = likeness.masked_fill(nothing, -1e9)
    x_worth, y_worth = (functional.logsigmoid(head.matchability(side.values)) for side in (x, y))
    scores = functional.log_softmax(likeness, dim=2) + functional.log_softmax(likeness, dim=1)
    scores = scores + x_worth + y_worth.transpose(1, 2)
    return scores if nothing is None else scores.masked_fill(nothing, -torch.inf)
