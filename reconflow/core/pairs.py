"""Pairs of photos and the tiles they are matched in."""

from collections.abc import Iterable, Sequence

Pair = tuple[int, int]
"""Indices of two photos in a run's sorted list, the smaller first."""


def all_pairs(count: int) -> list[Pair]:
    """Return every pair of ``count`` photos, in order.

    >>> all_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


_BAND = 6
"""Rows of blocks in a band."""


def tiles(pairs: Iterable[Pair], images_per_side: int) -> list[list[Pair]]:
    """Group pairs by the block of the pair matrix they lie in, so that a tile's pairs share their photos.

    A tile spans at most ``images_per_side`` photos on each side: a worker that matches it loads at most twice that
    many feature sets, each of them once. Tiles come in the order of a walk: along a band of six rows of blocks, up and
    down each column, and back along the next band. So a tile has photos in common with the one before, and any
    stretch of the walk stays in a compact part of the matrix.

    >>> tiles([(0, 1), (0, 3), (1, 2), (2, 3)], images_per_side=2)
    [[(0, 1)], [(2, 3)], [(0, 3), (1, 2)]]
    """
    blocks: dict[tuple[int, int], list[Pair]] = {}
    for i, j in sorted(pairs):
        blocks.setdefault((i // images_per_side, j // images_per_side), []).append((i, j))
    return [blocks[block] for block in sorted(blocks, key=_step)]


def _step(block: tuple[int, int]) -> tuple[int, int, int]:
    row, column = block
    band = row // _BAND
    return band, -column if band % 2 else column, -row if column % 2 else row


def shares(sizes: Sequence[int], count: int) -> list[int]:
    """Cut a row of things into ``count`` stretches of about equal size; return which of them each is in.

    >>> shares([1, 1, 2, 2, 2], 2)
    [0, 0, 0, 1, 1]
    """
    total, before, found = sum(sizes), 0, list[int]()
    for size in sizes:
        found.append(min(count - 1, int(count * (before + size / 2) / total)))
        before += size
    return found
