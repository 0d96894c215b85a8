"""Pairs of photos and the tiles they are matched in."""

from collections.abc import Iterable

Pair = tuple[int, int]
"""Indices of two photos in a run's sorted list, the smaller first."""


def all_pairs(count: int) -> list[Pair]:
    """Return every pair of ``count`` photos, in order.

    >>> all_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def tiles(pairs: Iterable[Pair], images_per_side: int) -> list[list[Pair]]:
    """Group pairs by the block of the pair matrix they lie in, so that a tile's pairs share their photos.

    A tile spans at most ``images_per_side`` photos on each side: a worker that matches it loads at most twice that
    many feature sets, each of them once.

    >>> tiles([(0, 1), (0, 3), (1, 2), (2, 3)], images_per_side=2)
    [[(0, 1)], [(0, 3), (1, 2)], [(2, 3)]]
    """
    blocks: dict[tuple[int, int], list[Pair]] = {}
    for i, j in sorted(pairs):
        blocks.setdefault((i // images_per_side, j // images_per_side), []).append((i, j))
    return [blocks[block] for block in sorted(blocks)]
