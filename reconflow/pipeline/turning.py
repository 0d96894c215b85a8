"""Photos that match nothing as they stand are tried in quarter turns, and turned for good where that helps."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from reconflow.core.images import ImageRecord
from reconflow.core.matches import PairSummary
from reconflow.core.pairs import Pair
from reconflow.core.turns import upright_quarters
from reconflow.core.view_graph import components, view_graph
from reconflow.stages.turns import QUARTERS, Vote, pairs_to_turn, settled_quarters

Look = Callable[[Sequence[ImageRecord], Sequence[Pair]], Mapping[Pair, PairSummary]]
"""Extracts the features of photos and matches pairs of them."""


def turned_to_match(
    records: Sequence[ImageRecord], pairs: Sequence[Pair], summaries: Sequence[PairSummary], *, look: Look
) -> list[ImageRecord]:
    """Return the photos, those turned that match others only so.

    Parameters
    ----------
    records : sequence of ImageRecord
        All photos.
    pairs, summaries : sequences
        What was matched, as indices into ``records``, and what it came to.
    look : callable
        Called once, if at all: with the photos and turned copies of some behind them.

    """
    number = {record.name: index for index, record in enumerate(records)}
    graph = view_graph(number, summaries)
    groups = [[number[name] for name in group] for group in components(graph)]
    groups.sort(key=lambda group: (-len(group), group))
    tried = pairs_to_turn(groups, pairs)
    if not tried:
        return list(records)
    places: dict[tuple[int, int], int] = {}
    for photo, quarters in dict.fromkeys((b, quarters) for _, b in tried for quarters in QUARTERS):
        places[photo, quarters] = len(records) + len(places)
    copies = [turned(records[photo], quarters) for photo, quarters in places]
    trials = {(a, places[b, quarters]): (a, b, quarters) for a, b in tried for quarters in QUARTERS}
    found = look([*records, *copies], sorted(trials))
    group_of = {photo: place for place, group in enumerate(groups) for photo in group}
    votes = [
        Vote(group_of[a], group_of[b], quarters, found[pair].inliers)
        for pair, (a, b, quarters) in trials.items()
        if pair in found and found[pair].verified
    ]
    settled = settled_quarters(len(groups), votes)
    return [turned(record, settled[group_of[index]]) for index, record in enumerate(records)]


def upright(record: ImageRecord) -> ImageRecord:
    """Return the photo as EXIF says that it stands."""
    return msgspec.structs.replace(record, quarters=upright_quarters(record.orientation))


def turned(record: ImageRecord, quarters: int) -> ImageRecord:
    """Return the photo turned clockwise by so many quarters more."""
    return msgspec.structs.replace(record, quarters=(record.quarters + quarters) % 4)
