from hypothesis import given
from hypothesis import strategies as st

from reconflow.config import ShortlistConfig
from reconflow.core.images import Exif, ImageRecord
from reconflow.stages.shortlist import gps_neighbours, needs_retrieval, sequence_neighbours, shortlist_pairs


def photos(count, **exif):
    return [
        ImageRecord(name=f"{i:04d}.jpg", path="", sha256=str(i), width=640, height=480, exif=Exif(**exif))
        for i in range(count)
    ]


def test_a_small_set_is_matched_exhaustively():
    pairs = shortlist_pairs(photos(30), retrieved=[], config=ShortlistConfig(exhaustive_up_to=30))
    assert len(pairs) == 30 * 29 // 2
    assert not needs_retrieval(30, config=ShortlistConfig(exhaustive_up_to=30))


def ring(count, depth):
    """Each photo's most similar others: those nearest on a ring, the ring being no sequence of names."""
    return [[(i + s * 37 * k) % count for k in range(1, depth // 2 + 1) for s in (1, -1)] for i in range(count)]


@given(st.integers(5, 30), st.integers(31, 40))
def test_every_photo_has_at_least_the_floor_and_proposes_at_most_the_cap(floor, cap):
    config = ShortlistConfig(
        exhaustive_up_to=10, retrieval_neighbours=4, sequence_neighbours=1, partners_floor=floor, partners_cap=cap
    )
    pairs = shortlist_pairs(photos(200), retrieved=ring(200, 60), config=config)
    partners = [sum(i in pair for pair in pairs) for i in range(200)]
    assert min(partners) >= floor
    assert len(pairs) <= 200 * cap


def test_pairs_are_sorted_unique_and_ordered_inside():
    config = ShortlistConfig(exhaustive_up_to=10)
    pairs = shortlist_pairs(photos(100), retrieved=ring(100, 60), config=config)
    assert pairs == sorted(set(pairs))
    assert all(i < j for i, j in pairs)


def test_neighbours_in_the_sequence_survive_a_tight_cap():
    config = ShortlistConfig(exhaustive_up_to=10, partners_cap=5, partners_floor=5, retrieval_neighbours=50)
    pairs = set(shortlist_pairs(photos(100), retrieved=ring(100, 60), config=config))
    assert all((i, i + 1) in pairs for i in range(99))


def test_the_sequence_follows_the_time_taken_before_the_name():
    records = [
        ImageRecord(name=n, path="", sha256=n, width=9, height=9, exif=Exif(taken_at=f"2020:01:01 00:00:0{t}"))
        for n, t in (("a", 3), ("b", 1), ("c", 2))
    ]
    assert sequence_neighbours(records, count=1) == [[2], [2], [1, 0]]


def test_gps_neighbours_are_the_nearest_on_the_globe_across_the_date_line():
    places = [(0.0, 179.9999), (0.0, -179.9999), (0.0, 179.9), (None, None)]
    records = [
        ImageRecord(
            name=str(i),
            path="",
            sha256="",
            width=9,
            height=9,
            exif=Exif(latitude_deg=latitude, longitude_deg=longitude),
        )
        for i, (latitude, longitude) in enumerate(places)
    ]
    assert gps_neighbours(records, count=1) == [[1], [0], [0], []]
