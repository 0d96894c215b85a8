"""Nearest neighbours between dense descriptor maps, and fast reciprocal matching (section 3.3 of the MASt3R paper).

Comparing every pixel with every other takes 39 billion products for two photos of 512 × 384. Starting from a grid of
pixels and going back and forth until a pair stays where it is finds a like share of the reciprocal pairs for a
hundredth of it. Everything is batched over pairs of photos, and no table of products is larger than a given size.
"""

import torch
from torch import Tensor

_ITERATIONS = 10
_MAX_BYTES = 512 * 2**20
_ROWS = 1024
"""Queries compared at a time, at most: on a CPU a block of products should stay near the caches."""


def nearest_by_dot(queries: Tensor, targets: Tensor, *, max_bytes: int = _MAX_BYTES) -> Tensor:
    """Return the (B, K) rows of the (B, N, D) ``targets`` with the largest product with (B, K, D) ``queries``.

    The table of products held at a time takes at most ``max_bytes``, or one row for each pair of photos. Products are
    as exact as the descriptors whatever the networks around run in: those of neighbours differ in the third digit.
    """
    with torch.autocast(queries.device.type, enabled=False):
        return _nearest(queries, targets, max_bytes)


def _nearest(queries: Tensor, targets: Tensor, max_bytes: int) -> Tensor:
    pairs, count = queries.shape[:2]
    rows = max(1, min(_ROWS, count))
    width = max(1, max_bytes // (queries.element_size() * pairs * rows))
    found = torch.empty(pairs, count, dtype=torch.int64, device=queries.device)
    columns = targets.transpose(1, 2)
    for top in range(0, count, rows):
        part = queries[:, top : top + rows]
        best, index = (part @ columns[..., :width]).max(dim=-1)
        for left in range(width, targets.shape[1], width):
            value, place = (part @ columns[..., left : left + width]).max(dim=-1)
            better = value > best
            best = torch.where(better, value, best)
            index = torch.where(better, place + left, index)
        found[:, top : top + rows] = index
    return found


def reciprocal_matches(
    first: Tensor, second: Tensor, *, step: int, iterations: int = _ITERATIONS, max_bytes: int = _MAX_BYTES
) -> list[Tensor]:
    """Return for each pair of photos the reciprocal matches that seeds on a grid in the first one lead to.

    Parameters
    ----------
    first, second : Tensor
        (B, H₁, W₁, D) and (B, H₂, W₂, D) descriptors.
    step : int
        Pixels between seeds.
    iterations : int
        A seed still on its way after so many turns is given up.
    max_bytes : int
        Largest table of products.

    Returns
    -------
    list of Tensor
        For each pair (M, 4) int64, x₁, y₁, x₂, y₂ with pixel centres at integers, sorted by y₁, x₁, without doubles.

    """
    (_, height1, width1, _), (_, _, width2, _) = first.shape, second.shape
    here, there = first.flatten(1, 2), second.flatten(1, 2)
    seeds = _grid(height1, width1, step, first.device)
    places = seeds.expand(len(first), -1)
    ended: list[Tensor] = []
    for _ in range(iterations):
        reached = nearest_by_dot(_at(here, places), there, max_bytes=max_bytes)
        back = nearest_by_dot(_at(there, reached), here, max_bytes=max_bytes)
        stays = back == places
        pair, seed = stays.nonzero(as_tuple=True)  # of all pairs at once: a device is waited for each time
        ended.append(torch.stack([pair, places[pair, seed], reached[pair, seed]], dim=1))
        left = int((~stays).sum(dim=1).max())
        if left == 0:
            break
        # What is on its way comes first; pairs with less of it carry some that has ended along.
        order = torch.argsort(stays.int(), dim=1, stable=True)[:, :left]
        places = back.gather(1, order)
    found = torch.cat(ended).unique(dim=0)
    counts = found[:, 0].bincount(minlength=len(first)).tolist()
    return [_as_pixels(own[:, 1:], width1, width2) for own in found.split(counts)]


def _grid(height: int, width: int, step: int, device: torch.device) -> Tensor:
    rows = torch.arange(step // 2, height, step, device=device)
    columns = torch.arange(step // 2, width, step, device=device)
    return (rows[:, None] * width + columns[None]).flatten()


def _at(descriptors: Tensor, places: Tensor) -> Tensor:
    return descriptors.gather(1, places[..., None].expand(-1, -1, descriptors.shape[-1]))


def _as_pixels(matches: Tensor, width1: int, width2: int) -> Tensor:
    one, two = matches.unbind(dim=1)
    return torch.stack([one % width1, one // width1, two % width2, two // width2], dim=1)
