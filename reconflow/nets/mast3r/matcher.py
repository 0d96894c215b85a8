"""Pairs → matches: the half of MASt3R that looks at two photos together.

Both orders of a pair are decoded, since the decoders are no twins, and what either of them finds counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from reconflow.config import MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.core.matches import Matches, Points
from reconflow.core.pairs import Pair
from reconflow.nets.batches import batch_runner, grouped
from reconflow.nets.devices import autocast, on_device, torch_device
from reconflow.nets.mast3r.checkpoint import made_with, shared_mast3r
from reconflow.nets.mast3r.lookup import Reached, by_agreement, reach
from reconflow.nets.mast3r.model import DenseView, Grid, Mast3r
from reconflow.nets.mast3r.reciprocal import reciprocal_matches
from reconflow.nets.nearest import one_to_one
from reconflow.nets.protocols import Finish, TileView


class Decoded(NamedTuple):
    """What one order of the two photos of a pair decodes to."""

    first: DenseView
    """(H, W, D) and (H, W) maps of the pair's first photo, whichever was view 1."""
    second: DenseView
    seeds: Tensor
    """(M, 4) reciprocal matches: x, y in the first photo, x, y in the second, pixel centres at integers."""

    def exchanged(self) -> "Decoded":
        """Return the same with the photos' parts exchanged."""
        return Decoded(self.second, self.first, self.seeds[:, [2, 3, 0, 1]])


@dataclass(frozen=True)
class Mast3rMatcher:
    """MASt3R's matches of a tile of pairs, on the device at hand.

    With ``hybrid`` keypoints are matched through the descriptors and reciprocal matches join them as points of the
    pair; without it there are only these.

    Parameters
    ----------
    acceptance_inliers : int
        Fewest inliers that count as evidence.
    file : Path, optional
        A checkpoint to use instead of the official one.
    hybrid : bool
        Match keypoints too.
    batch : int
        Pairs of equal token grids decoded together, at first; fewer once memory ran out.

    """

    acceptance_inliers: int
    file: Path | None = None
    hybrid: bool = True
    batch: int = 8
    encoder: str = "mast3r"

    @property
    def name(self) -> str:
        """The registry's name."""
        return "mast3r_hybrid" if self.hybrid else "mast3r"

    @property
    def made_with(self) -> str:
        """Revision, library, and the checkpoint by its hash."""
        return f"{self.name} 3 of {made_with(self.file)}"

    def match_tile(
        self, views: Sequence[TileView], pairs: Sequence[Pair], *, config: MatchConfig
    ) -> Iterator[tuple[int, Finish]]:
        """Yield each pair's place and what finishes it, pairs of equal token grids together.

        Raises
        ------
        ValueError
            If a view has no encoding.

        """
        encodings = [_encoding(view) for view in views]
        device = torch_device()
        tokens = {
            index: on_device(encodings[index].tokens, device).float()
            for index in sorted({index for pair in pairs for index in pair})
        }
        sought = [Sought.of(view) for view in views]
        network = shared_mast3r(self.file, device)
        # Both orders are decoded anyway, so it is all the same which of a landscape and a portrait comes first.
        turned = [(j, i) if encodings[i].grid > encodings[j].grid else (i, j) for i, j in pairs]

        def matched(batch: Sequence[int]) -> list[Finish]:
            one, other = turned[batch[0]]
            grids = (encodings[one].grid, encodings[other].grid)
            with torch.inference_mode(), autocast(device, config.precision):
                own = [turned[place] for place in batch]
                decoded = decode_both_orders(network, tokens, own, grids=grids, step=config.seed_step)
                return [finish(place, orders) for place, orders in zip(batch, decoded, strict=True)]

        def finish(place: int, orders: tuple[Decoded, Decoded]) -> Finish:
            i, j = pairs[place]
            own = orders if turned[place] == (i, j) else (orders[1].exchanged(), orders[0].exchanged())
            return self._finish((views[i], views[j]), (sought[i], sought[j]), own, config)

        for group in grouped(turned, key=lambda pair: (encodings[pair[0]].grid, encodings[pair[1]].grid)):
            shape = tuple(encodings[index].grid for index in turned[group[0]])
            runner = batch_runner(("mast3r", self.file, device.type), shape, self.batch)
            yield from zip(group, runner.stream(matched, group), strict=True)

    def _finish(
        self,
        pair: tuple[TileView, TileView],
        sought: tuple["Sought", "Sought"],
        orders: Sequence[Decoded],
        config: MatchConfig,
    ) -> Finish:
        """Take from the device what is needed of a pair, and return what makes matches of it."""
        places = _point_matches(orders)
        if not self.hybrid:
            return partial(_matches, pair, Matches.none(), places)
        reached = [_both_ways(order, sought) for order in orders]
        return partial(_hybrid_matches, pair, sought, reached, places, within_px=config.return_px)


class Sought:
    """The keypoints of a photo in its raster, made ready once for all its pairs."""

    def __init__(self, places: Array):
        self.places = places

    @classmethod
    def of(cls, view: TileView) -> "Sought":
        """Return a view's keypoints."""
        return cls(_encoding(view).frame.to_raster(view.features.keypoints))

    @cached_property
    def tree(self) -> KDTree:
        """What finds the keypoint nearest to a place."""
        return KDTree(self.places)


def decode_both_orders(
    network: Mast3r, tokens: Mapping[int, Tensor], pairs: Sequence[Pair], *, grids: tuple[Grid, Grid], step: int
) -> list[tuple[Decoded, Decoded]]:
    """Return what each of a batch of pairs of equal grids decodes to, with either photo as view 1.

    Pairs of photos of one grid go through the network as one batch of twice as many.
    """
    first, second = (torch.stack([tokens[pair[side]] for pair in pairs]) for side in (0, 1))
    if grids[0] == grids[1]:
        both = _decode(network, torch.cat([first, second]), torch.cat([second, first]), grids, step)
        forth, back = both[: len(pairs)], both[len(pairs) :]
    else:
        forth = _decode(network, first, second, grids, step)
        back = _decode(network, second, first, (grids[1], grids[0]), step)
    return [(one, other.exchanged()) for one, other in zip(forth, back, strict=True)]


def _decode(network: Mast3r, ones: Tensor, twos: Tensor, grids: tuple[Grid, Grid], step: int) -> list[Decoded]:
    first, second = network.decode(ones, twos, grids=grids)
    seeds = reciprocal_matches(first.descriptors, second.descriptors, step=step)

    def of_row(view: DenseView, row: int) -> DenseView:
        return DenseView(view.descriptors[row], view.confidence[row])

    return [Decoded(of_row(first, row), of_row(second, row), seeds[row]) for row in range(len(ones))]


def _both_ways(order: Decoded, sought: tuple[Sought, Sought]) -> tuple[Reached, Reached]:
    """Look the keypoints of either photo up in the other, in the maps of one order."""
    map_a, map_b = order.first.descriptors, order.second.descriptors
    return reach(map_a, map_b, sought[0].places), reach(map_b, map_a, sought[1].places)


def _hybrid_matches(
    pair: tuple[TileView, TileView],
    sought: tuple[Sought, Sought],
    reached: Sequence[tuple[Reached, Reached]],
    places: tuple[Array, Array],
    *,
    within_px: float,
) -> Matches:
    found: list[tuple[Array, Array]] = []
    for forth, back in reached:
        found.append(forth.joined(sought[1].tree, within_px=within_px))
        rows, alike = back.joined(sought[0].tree, within_px=within_px)
        found.append((rows[:, ::-1], alike))
    keypoints = one_to_one(pair[0].features, pair[1].features, by_agreement(found))
    return _matches(pair, keypoints, places)


def _matches(pair: tuple[TileView, TileView], keypoints: Matches, places: tuple[Array, Array]) -> Matches:
    """Return the matches of keypoints, and behind them those of the places that only the pair has."""
    own = np.arange(len(places[0]))[:, np.newaxis] + (len(pair[0].features), len(pair[1].features))
    indices = np.concatenate([keypoints.indices, own]).astype(np.int32)
    return Matches(indices, _points(pair[0], places[0]), _points(pair[1], places[1]))


def _point_matches(orders: Sequence[Decoded]) -> tuple[Array, Array]:
    """Return where the reciprocal matches of both orders lie in the two rasters, (M, 2) each, no pixel twice."""
    seeds = torch.cat([order.seeds for order in orders])
    sure = torch.cat([_confidence(order) for order in orders])
    matches = seeds[torch.argsort(sure, descending=True, stable=True)].cpu().numpy()
    for side in (slice(0, 2), slice(2, 4)):
        _, firsts = np.unique(matches[:, side], axis=0, return_index=True)
        matches = matches[np.sort(firsts)]
    matches = matches[np.lexsort((matches[:, 0], matches[:, 1]))]
    return matches[:, :2] + 0.5, matches[:, 2:] + 0.5


def _confidence(order: Decoded) -> Tensor:
    """Return the (M,) product of the confidences at both ends of the seeds."""
    x1, y1, x2, y2 = order.seeds.unbind(dim=1)
    return order.first.confidence[y1, x1] * order.second.confidence[y2, x2]


def _points(view: TileView, places: Array) -> Points:
    encoding = _encoding(view)
    return Points(encoding.frame.to_photo(places), encoding.colors_at(places), max(encoding.frame.scale))


def _encoding(view: TileView) -> Encoding:
    if view.encoding is None:
        raise ValueError("a view has no encoding: MASt3R matches encoded photos")
    return view.encoding
