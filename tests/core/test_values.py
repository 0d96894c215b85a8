import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reconflow.core.arrays import checked
from reconflow.core.cameras import CAMERA_PARAMETERS, Camera, Pose
from reconflow.core.clouds import PointCloud, read_ply, write_ply
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.core.submission import PoseRow, read_poses, write_poses
from reconflow.errors import InputError


def features(keypoints):
    n = len(keypoints)
    return Features(
        keypoints=keypoints,
        scales=np.ones(n, np.float32),
        orientations=np.zeros(n, np.float32),
        scores=np.ones(n, np.float32),
        descriptors=np.zeros((n, 128), np.uint8),
        colors=np.zeros((n, 3), np.uint8),
        image_size=(6000, 4000),
    )


def test_coordinates_beyond_two_thousand_pixels_keep_their_fractions():
    keypoints = np.array([[5000.25, 3999.75]])
    np.testing.assert_array_equal(features(keypoints).keypoints, keypoints)
    assert features(keypoints).keypoints.dtype == np.float32


def test_a_wrong_shape_is_told_with_both_shapes():
    with pytest.raises(ValueError, match=r"keypoints must be \(N, 2\), got \(3, 3\)"):
        features(np.zeros((3, 3)))


def test_values_cannot_be_changed_after_they_are_made():
    made = features(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="read-only"):
        made.keypoints[0] = 1


def test_fractional_indices_are_refused_and_not_rounded():
    with pytest.raises(ValueError, match="must hold integers"):
        Matches(np.zeros((2, 2)))


def test_the_array_given_stays_writable():
    array = np.zeros((2, 2), np.float32)
    checked("a", array, ("N", 2), np.float32)
    array[0] = 1


@pytest.mark.parametrize("model", CAMERA_PARAMETERS)
def test_a_camera_survives_colmap_and_back(model):
    camera = Camera.from_focal(model, 640, 480, 700.0, prior=True)
    assert Camera.from_colmap(camera.to_colmap()) == camera
    assert camera.focal_px == 700


def test_a_camera_of_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="camera model must be one of"):
        Camera(model="MAGIC", width=1, height=1, params=())


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 50), st.just(3)), elements=st.floats(-1e6, 1e6, width=32)),
    st.booleans(),
)
def test_a_cloud_survives_its_ply_file(tmp_path_factory, points, with_normals):
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    colors = (np.abs(points) % 256).astype(np.uint8)
    cloud = PointCloud(points, colors, np.zeros_like(points) if with_normals else None)
    write_ply(cloud, path)
    found = read_ply(path)
    np.testing.assert_array_equal(found.points, cloud.points)
    np.testing.assert_array_equal(found.colors, cloud.colors)
    assert (found.normals is None) == (cloud.normals is None)


def test_open3d_reads_the_ply_files(tmp_path):
    open3d = pytest.importorskip("open3d")
    rng = np.random.default_rng(0)
    cloud = PointCloud(rng.random((20, 3)), rng.integers(0, 255, (20, 3), np.uint8))
    write_ply(cloud, tmp_path / "a.ply")
    found = open3d.io.read_point_cloud(str(tmp_path / "a.ply"))
    np.testing.assert_allclose(np.asarray(found.points), cloud.points, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(found.colors) * 255, cloud.colors, atol=0.01)


def test_a_ply_cut_short_is_an_input_error(tmp_path):
    write_ply(PointCloud(np.zeros((9, 3)), np.zeros((9, 3), np.uint8)), tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(data[:-10])
    with pytest.raises(InputError, match="cut short"):
        read_ply(tmp_path / "a.ply")


@given(
    hnp.arrays(np.float64, (3, 3), elements=st.floats(-1, 1)), hnp.arrays(np.float64, 3, elements=st.floats(-1e6, 1e6))
)
def test_poses_survive_the_csv_to_the_last_bit(tmp_path_factory, rotation, translation):
    path = tmp_path_factory.mktemp("csv") / "s.csv"
    rows = [
        PoseRow(dataset="d", scene="s", image='a,"b".jpg', cam_from_world=Pose(rotation, translation)),
        PoseRow(dataset="d", scene="outliers", image="c.jpg"),
    ]
    write_poses(rows, path, kaggle=True)
    found = read_poses(path)
    np.testing.assert_array_equal(found[0].cam_from_world.rotation, rotation)
    np.testing.assert_array_equal(found[0].cam_from_world.translation, translation)
    assert (found[0].image, found[1].cam_from_world) == ('a,"b".jpg', None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b\n1,2\n", "lacks the column"),
        ("dataset,scene,image,rotation_matrix,translation_vector\nd,s,a,1;2,0;0;0\n", "expected 9 numbers"),
        ("dataset,scene,image,rotation_matrix,translation_vector\nd,s,a,1;0;0;0;1;0;0;0;x,0;0;0\n", "line 2"),
    ],
)
def test_a_csv_that_is_none_is_told_with_its_line(tmp_path, content, problem):
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(InputError, match=problem):
        read_poses(tmp_path / "s.csv")
