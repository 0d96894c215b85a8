import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.spatial import KDTree  # noqa: E402

from reconflow.nets.mast3r.lookup import by_agreement, reach  # noqa: E402

SHIFT = np.array([7, -4])


def look_up(first, second, places, others, *, within_px):
    return reach(first, second, places).joined(KDTree(others), within_px=within_px)


@pytest.fixture(scope="module")
def maps():
    """Descriptors of two rasters of one plane, the second one seven pixels to the right and four up."""
    scene = torch.nn.functional.normalize(torch.randn(80, 100, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    return scene[10:58, 10:74], scene[6:54, 17:81]


@pytest.fixture(scope="module")
def keypoints():
    """Keypoints of the first raster, and the same ones in the second, which is a different order."""
    rng = np.random.default_rng(1)
    places = np.stack(np.meshgrid(np.arange(4, 64, 6), np.arange(4, 48, 6)), axis=-1).reshape(-1, 2) + 0.5
    order = rng.permutation(len(places))
    return places, (places - SHIFT)[order], order


def test_keypoints_of_one_place_are_joined(maps, keypoints):
    places, others, order = keypoints
    rows, alike = look_up(*maps, places, others, within_px=2)
    assert np.array_equal(order[rows[:, 1]], rows[:, 0])
    seen = ((places - SHIFT >= 0) & (places - SHIFT < (64, 48))).all(axis=1)
    assert len(rows) == seen.sum()
    assert alike.min() > 0.999


def test_the_nearest_keypoint_within_reach_is_taken(maps, keypoints):
    places, others, order = keypoints
    rows, _ = look_up(*maps, places, others + (1.0, 1.0), within_px=2)
    assert np.array_equal(order[rows[:, 1]], rows[:, 0])
    rows, _ = look_up(*maps, places, others + (2.0, 2.0), within_px=2)
    assert len(rows) == 0


@pytest.mark.parametrize(("column", "found"), [(21, True), (40, False)])
def test_a_way_back_that_misses_by_much_is_no_match(maps, column, found):
    first, second = (side.clone() for side in maps)
    first[20, column] = second[30, 30]  # what the keypoint finds is more like a pixel beside it, or far from it
    first[20, 20] = torch.nn.functional.normalize(second[30, 30] + 0.1 * first[0, 0], dim=0)
    rows, _ = look_up(first, second, np.array([[20.5, 20.5]]), np.array([[30.5, 30.5]]), within_px=2)
    assert (rows.tolist() == [[0, 0]]) == found


def test_keypoints_outside_of_the_raster_are_left_out(maps, keypoints):
    places, others, _ = keypoints
    everywhere = np.concatenate([places, [[-0.1, 5], [5, -3], [64, 5], [5, 48.2]]])
    rows, _ = look_up(*maps, everywhere, others, within_px=2)
    assert rows[:, 0].max() < len(places)


@pytest.mark.parametrize("counts", [(0, 5), (5, 0), (0, 0)])
def test_no_keypoints_no_matches(maps, keypoints, counts):
    rows, alike = look_up(*maps, keypoints[0][: counts[0]], keypoints[1][: counts[1]], within_px=2)
    assert rows.shape == (0, 2)
    assert alike.shape == (0,)


def test_what_is_found_more_often_comes_first():
    one = np.array([[1, 1], [2, 2]]), np.array([0.5, 0.9], np.float32)
    two = np.array([[1, 1], [3, 3]]), np.array([0.6, 0.7], np.float32)
    assert by_agreement([one, two]).tolist() == [[1, 1], [2, 2], [3, 3]]
