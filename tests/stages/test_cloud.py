import numpy as np
import pytest

from reconflow.config import CloudConfig
from reconflow.core.clouds import PointCloud
from reconflow.errors import DependencyError
from reconflow.stages.cloud import clean_cloud


def sphere(count, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return PointCloud(points, rng.integers(0, 255, (count, 3), np.uint8))


def cleaned(cloud, *, observations=None, centers=((0.0, 0.0, 5.0),), **options):
    seen = np.full(len(cloud), 3, np.int32) if observations is None else observations
    return clean_cloud(cloud, observations=seen, camera_centers=np.array(centers), config=CloudConfig(**options))


def test_points_far_from_all_others_go():
    cloud = sphere(2000)
    strays = np.array([[30.0, 0, 0], [0, -40.0, 0]])
    mixed = PointCloud(np.vstack([cloud.points, strays]), np.vstack([cloud.colors, np.zeros((2, 3), np.uint8)]))
    found = cleaned(mixed)
    assert np.linalg.norm(found.points, axis=1).max() < 2
    assert len(found) > 1800


@pytest.mark.parametrize("limit", [1, 10, 500, 1999])
def test_a_cloud_is_thinned_to_at_most_the_limit_and_not_much_below(limit):
    found = cleaned(sphere(2000), max_points=limit)
    assert len(found) <= limit
    assert len(found) >= 0.5 * min(limit, 500) or limit == 1


def test_a_cloud_below_the_limit_keeps_its_points():
    cloud = sphere(500)
    assert len(cleaned(cloud, outlier_std_ratio=50.0)) == 500


def test_normals_are_of_unit_length_and_face_the_nearest_camera():
    centers = [(0, 0, 5.0), (0, 0, -5.0), (5.0, 0, 0), (-5.0, 0, 0), (0, 5.0, 0), (0, -5.0, 0)]
    found = cleaned(sphere(2000), centers=centers)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, atol=1e-5)
    outward = (found.normals * found.points).sum(axis=1)
    assert (outward > 0.9).mean() > 0.95


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_handful_of_points_is_left_alone(count):
    assert len(cleaned(sphere(count))) == count


def test_points_seen_by_few_photos_go_as_long_as_most_stay():
    seen = np.full(1000, 3, np.int32)
    seen[:300] = 2
    assert len(cleaned(sphere(1000), observations=seen, outlier_std_ratio=50.0)) == 700
    seen[:900] = 2
    assert len(cleaned(sphere(1000), observations=seen, outlier_std_ratio=50.0)) == 1000


def test_colours_stay_with_their_points():
    cloud = sphere(200)
    found = cleaned(cloud, outlier_std_ratio=50.0)
    np.testing.assert_array_equal(found.colors, cloud.colors)


def test_a_missing_system_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open3d", None)
    with pytest.raises(DependencyError, match="apt-get install libusb"):
        cleaned(sphere(50))
