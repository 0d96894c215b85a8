from dataclasses import replace

import numpy as np

from reconflow.core.matches import Matches, Points, TwoViewGeometry
from reconflow.store.geometries import GeometryStore, MatchedPair, read_geometries
from reconflow.store.packs import Packs
from reconflow.store.root import open_root


def test_points_of_a_pair_come_back_beside_those_of_another(tmp_path):
    root = open_root(str(tmp_path))
    first = Points(np.array([[1.5, 2.25], [3, 4]]), np.array([[1, 2, 255], [0, 9, 8]]), 7.8125)
    second = Points(np.array([[7.125, 6]]), np.array([[5, 5, 5]]))
    matches = Matches(np.array([[0, 3], [5, 4]], np.int32), first, second)
    pairs = [
        MatchedPair("none", Matches.none(), TwoViewGeometry.undefined(), "nothing in common"),
        MatchedPair("some", matches, TwoViewGeometry.undefined(), ""),
    ]
    stored = GeometryStore(root, "n" * 32).write(pairs)
    found = read_geometries(root, [pair.ref for pair in stored.values()])
    again, _ = found[stored["some"].ref]
    for side, points in (("first", first), ("second", second)):
        np.testing.assert_array_equal(getattr(again, side).places, points.places)
        np.testing.assert_array_equal(getattr(again, side).colors, points.colors)
        assert getattr(again, side).raster_px == points.raster_px
    np.testing.assert_array_equal(again.indices, matches.indices)
    none, _ = found[stored["none"].ref]
    assert len(none) == len(none.first) == len(none.second) == 0


def test_pairs_of_a_store_that_knows_no_rasters_are_read(tmp_path, monkeypatch):
    root = open_root(str(tmp_path))
    point = Points(np.array([[1, 2]]), np.array([[0, 0, 0]]), 4.0)
    pair = MatchedPair("old", Matches(np.array([[0, 0]]), point, point), TwoViewGeometry.undefined(), "")
    write = Packs.write

    def as_before(packs, items):
        return write(
            packs, [replace(i, record={k: v for k, v in i.record.items() if k != "rasters_px"}) for i in items]
        )

    monkeypatch.setattr(Packs, "write", as_before)
    stored = GeometryStore(root, "n" * 32).write([pair])
    ((matches, _),) = read_geometries(root, [stored["old"].ref]).values()
    assert (matches.first.raster_px, matches.second.raster_px) == (0, 0)


def test_a_match_lies_where_its_keypoints_or_its_own_points_lie():
    keypoints = np.array([[10, 10], [20, 20]], np.float32)
    own = Points(np.array([[1, 2], [3, 4]]), np.zeros((2, 3), np.uint8))
    matches = Matches(np.array([[1, 0], [2, 3], [3, 2]], np.int32), own, own)
    a, b = matches.places(keypoints, keypoints)
    np.testing.assert_array_equal(a, [[20, 20], [1, 2], [3, 4]])
    np.testing.assert_array_equal(b, [[10, 10], [3, 4], [1, 2]])
