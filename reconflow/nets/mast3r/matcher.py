"""Pairs → matches: the half of MASt3R that looks at two photos together.

Both orders of a pair are decoded, since the decoders are no twins, and what either of them finds counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reconflow.config import MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.core.matches import Matches, Points
from reconflow.core.pairs import Pair
from reconflow.nets.batches import BatchRunner, grouped
from reconflow.nets.devices import autocast, torch_device
from reconflow.nets.mast3r.checkpoint import made_with, shared_mast3r
from reconflow.nets.mast3r.lookup import by_agreement, look_up
from reconflow.nets.mast3r.model import DenseView, Grid, Mast3r
from reconflow.nets.mast3r.reciprocal import reciprocal_matches
from reconflow.nets.nearest import one_to_one
from reconflow.nets.protocols import View


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
        return f"{self.name} 2 of {made_with(self.file)}"

    def match_tile(
        self, views: Sequence[View], pairs: Sequence[Pair], *, config: MatchConfig
    ) -> Iterator[tuple[int, Matches]]:
        """Yield each pair's place and its one-to-one matches, pairs of equal token grids together.

        Raises
        ------
        ValueError
            If a view has no encoding.

        """
        encodings = [_encoding(view) for view in views]
        device = torch_device()
        tokens = {
            index: torch.from_numpy(np.array(encodings[index].tokens)).to(device).float()
            for index in sorted({index for pair in pairs for index in pair})
        }
        network = shared_mast3r(self.file, device)
        runner = BatchRunner(self.batch)

        def matched(batch: Sequence[Pair]) -> list[Matches]:
            grids = (encodings[batch[0][0]].grid, encodings[batch[0][1]].grid)
            with torch.inference_mode(), autocast(device, config.precision):
                decoded = decode_both_orders(network, tokens, batch, grids=grids, step=config.seed_step)
            return [
                self._matches(views[i], views[j], orders, config) for (i, j), orders in zip(batch, decoded, strict=True)
            ]

        for group in grouped(pairs, key=lambda pair: (encodings[pair[0]].grid, encodings[pair[1]].grid)):
            for start in range(0, len(group), self.batch):
                places = group[start : start + self.batch]
                yield from zip(places, runner.map(matched, [pairs[place] for place in places]), strict=True)

    def _matches(self, a: View, b: View, orders: Sequence[Decoded], config: MatchConfig) -> Matches:
        keypoints = Matches.none()
        if self.hybrid:
            keypoints = _keypoint_matches(a, b, orders, within_px=config.return_px)
        places_a, places_b = _point_matches(orders)
        own = np.arange(len(places_a))[:, np.newaxis] + (len(a.features), len(b.features))
        indices = np.concatenate([keypoints.indices, own]).astype(np.int32)
        return Matches(indices, _points(a, places_a), _points(b, places_b))


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


def _keypoint_matches(a: View, b: View, orders: Sequence[Decoded], *, within_px: float) -> Matches:
    """Look the keypoints of either photo up in the other, in the maps of both orders."""
    places_a, places_b = (_encoding(view).frame.to_raster(view.features.keypoints) for view in (a, b))
    found: list[tuple[Array, Array]] = []
    for order in orders:
        map_a, map_b = order.first.descriptors, order.second.descriptors
        found.append(look_up(map_a, map_b, places_a, places_b, within_px=within_px))
        rows, alike = look_up(map_b, map_a, places_b, places_a, within_px=within_px)
        found.append((rows[:, ::-1], alike))
    return one_to_one(a.features, b.features, by_agreement(found))


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


def _points(view: View, places: Array) -> Points:
    encoding = _encoding(view)
    return Points(encoding.frame.to_photo(places), encoding.colors_at(places))


def _encoding(view: View) -> Encoding:
    if view.encoding is None:
        raise ValueError("a view has no encoding: MASt3R matches encoded photos")
    return view.encoding
