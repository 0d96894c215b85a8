"""Which photos to try turned, and how every photo is turned in the end.

Groups of photos that matched among themselves stand the same way up, whichever it is. So it takes a few pairs of two
groups, in the three turns left, to tell whether a turn is what keeps the groups apart. The strongest match settles it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from reconflow.core.pairs import Pair

QUARTERS = (1, 2, 3)
_PAIRS_OF_TWO_GROUPS = 8
_TURNED_OF_A_GROUP = 2
"""Photos that stand for their group: each is extracted in three more turns, which costs more than its pairs."""


class Vote(NamedTuple):
    """Two groups that match once the second is turned."""

    still: int
    turned: int
    """Numbers of the groups."""
    quarters: int
    """Clockwise quarter turns of the second, on top of how it stands."""
    inliers: int


def pairs_to_turn(groups: Sequence[Sequence[int]], pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs to try again with their second photo turned.

    Parameters
    ----------
    groups : sequence of sequences of int
        Photos that hang together by verified pairs, the largest group first.
    pairs : iterable of (int, int)
        All pairs that were matched.

    Returns
    -------
    list of (int, int)
        A photo of the larger group, one of the smaller: up to eight pairs of any two groups, if one of them has two
        photos or more. They are spread over the larger one; of the smaller come the two photos that are in most pairs.

    """
    group_of = {photo: number for number, group in enumerate(groups) for photo in group}
    between: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        (still, a), (turned, b) = sorted((group_of[photo], photo) for photo in pair)
        if still != turned and len(groups[still]) > 1:
            between.setdefault((still, turned), []).append((a, b))
    chosen: list[Pair] = []
    for _, candidates in sorted(between.items()):
        partners = Counter(b for _, b in candidates)
        standing = sorted(partners, key=lambda b: (-partners[b], b))[:_TURNED_OF_A_GROUP]
        ordered = sorted((pair for pair in candidates if pair[1] in standing), key=lambda pair: (pair[1], pair[0]))
        count = min(len(ordered), _PAIRS_OF_TWO_GROUPS)
        chosen += [ordered[place] for place in np.linspace(0, len(ordered) - 1, count).round().astype(int)]
    return chosen


def settled_quarters(count: int, votes: Iterable[Vote]) -> list[int]:
    """Return how many clockwise quarters each of ``count`` groups is turned, following the strongest votes.

    The largest group of those that hang together by votes stays as it is.

    >>> settled_quarters(4, [Vote(0, 1, 3, 50), Vote(1, 2, 2, 40), Vote(0, 2, 1, 90)])
    [0, 3, 1, 0]
    """
    strongest = sorted(votes, key=lambda vote: -vote.inliers)
    quarters: dict[int, int] = {}
    for root in range(count):
        quarters.setdefault(root, 0)
        while (found := _next(quarters, strongest)) is not None:
            quarters.update(found)
    return [quarters[group] for group in range(count)]


def _next(known: Mapping[int, int], strongest: Sequence[Vote]) -> dict[int, int] | None:
    for vote in strongest:
        if vote.still in known and vote.turned not in known:
            return {vote.turned: (known[vote.still] + vote.quarters) % 4}
        if vote.turned in known and vote.still not in known:
            return {vote.still: (known[vote.turned] - vote.quarters) % 4}
    return None
