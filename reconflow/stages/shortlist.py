"""Which pairs of photos are worth matching.

All of them for small sets: recall of pairs is what wins, and the coarse pass of the match stage drops hopeless ones
for next to nothing. Above that, a union of three retrievers – appearance, shooting order, position – with a floor
and a cap per photo.
"""

from collections.abc import Sequence

import numpy as np

from reconflow.config import ShortlistConfig
from reconflow.core.images import ImageRecord
from reconflow.core.pairs import Pair, all_pairs

_EARTH_RADIUS_M = 6_371_000.0


def needs_retrieval(count: int, *, config: ShortlistConfig) -> bool:
    """Tell whether ``count`` photos are too many to try every pair."""
    return count > config.exhaustive_up_to


def shortlist_pairs(
    records: Sequence[ImageRecord], *, retrieved: Sequence[Sequence[int]], config: ShortlistConfig
) -> list[Pair]:
    """Return the pairs to match, sorted, as indices into ``records``.

    Every photo proposes its partners in the order retrieval, position, sequence: at least ``partners_floor`` of
    them (filled up by retrieval rank) and at most ``partners_cap``. A pair is tried when either of its photos
    proposes it.

    Parameters
    ----------
    records : sequence of ImageRecord
        All readable photos, sorted by name.
    retrieved : sequence of sequences of int
        For each photo the others by falling similarity; empty where the set is small enough to try every pair.

    """
    if not needs_retrieval(len(records), config=config):
        return all_pairs(len(records))
    by_sequence = sequence_neighbours(records, count=config.sequence_neighbours)
    by_gps = gps_neighbours(records, count=config.gps_neighbours)
    pairs: set[Pair] = set()
    for i in range(len(records)):
        ranked = list(retrieved[i])
        wanted = [*ranked[: config.retrieval_neighbours], *by_gps[i], *by_sequence[i]]
        partners = list(dict.fromkeys(wanted))
        spare = (j for j in ranked if j not in set(partners))
        while len(partners) < config.partners_floor and (j := next(spare, None)) is not None:
            partners.append(j)
        pairs.update((min(i, j), max(i, j)) for j in _capped(partners, by_sequence[i], config.partners_cap))
    return sorted(pairs)


def sequence_neighbours(records: Sequence[ImageRecord], *, count: int) -> list[list[int]]:
    """Return for each photo the ``count`` before and after it, by the time it was taken or else by name."""
    order = sorted(range(len(records)), key=lambda i: (records[i].exif.taken_at or "", records[i].name))
    place = {index: position for position, index in enumerate(order)}
    near: list[list[int]] = []
    for i in range(len(records)):
        low, high = max(0, place[i] - count), min(len(order), place[i] + count + 1)
        near.append(sorted((j for j in order[low:high] if j != i), key=lambda j: (abs(place[j] - place[i]), place[j])))
    return near


def gps_neighbours(records: Sequence[ImageRecord], *, count: int) -> list[list[int]]:
    """Return for each photo with a GPS position the ``count`` nearest others that have one, nearest first."""
    located = [i for i, r in enumerate(records) if r.exif.latitude_deg is not None and r.exif.longitude_deg is not None]
    near: list[list[int]] = [[] for _ in records]
    if len(located) < 2 or count < 1:
        return near
    angles = np.radians([[records[i].exif.latitude_deg or 0, records[i].exif.longitude_deg or 0] for i in located])
    latitude, longitude = angles.T
    on_sphere_m = _EARTH_RADIUS_M * np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    from scipy.spatial import KDTree

    _, found = KDTree(on_sphere_m).query(on_sphere_m, k=min(count + 1, len(located)))
    for i, row in zip(located, np.atleast_2d(found), strict=True):
        near[i] = [located[j] for j in row if located[j] != i][:count]
    return near


def _capped(partners: Sequence[int], sequence: Sequence[int], cap: int) -> list[int]:
    """Keep the two neighbours in the sequence whatever the cap cuts: they hold a walk through a place together."""
    kept = list(partners[:cap])
    for j in sequence[:2]:
        if j not in kept and len(kept) == cap and cap > 2:
            kept[-1 - sequence.index(j)] = j
    return kept
