import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconflow.core.cameras import Camera
from reconflow.world.correspondences import SyntheticWorld, synthetic_world
from reconflow.world.projection import project, rays

BENT = Camera(model="SIMPLE_RADIAL", width=1024, height=768, params=(900.0, 512.0, 384.0, -0.08))


def epipolar_residuals(world: SyntheticWorld, i: int, j: int) -> np.ndarray:
    geometry = world.geometry(i, j)
    a = rays(world.cameras[i], world.features[i].keypoints[geometry.inliers[:, 0]])
    b = rays(world.cameras[j], world.features[j].keypoints[geometry.inliers[:, 1]])
    essential = geometry.essential / np.linalg.norm(geometry.essential)
    return np.abs(np.einsum("ni,ij,nj->n", b, essential, a))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), camera=st.sampled_from([None, BENT]), layout=st.sampled_from(["volume", "plane"]))
def test_every_true_match_satisfies_the_epipolar_constraint(seed, camera, layout):
    world = synthetic_world(cameras=3, points=80, camera=camera, layout=layout, outlier_ratio=0.3, seed=seed)
    assert sorted(world.matches) == [(0, 1), (0, 2), (1, 2)]
    for pair in world.matches:
        assert len(world.geometry(*pair)) > 20
        assert epipolar_residuals(world, *pair).max() < 1e-6


def test_the_fundamental_matrix_holds_in_pixels_without_distortion():
    world = synthetic_world(cameras=2, points=100, seed=4)
    geometry = world.geometry(0, 1)
    a, b = (
        np.column_stack([world.features[k].keypoints[geometry.inliers[:, k]], np.ones(len(geometry))]) for k in (0, 1)
    )
    lines = a @ geometry.fundamental.T
    assert (np.abs((b * lines).sum(axis=1)) / np.linalg.norm(lines[:, :2], axis=1)).max() < 1e-3


def test_keypoints_are_the_projections_of_their_points():
    world = synthetic_world(cameras=3, points=150, camera=BENT, seed=2)
    for camera, pose, features, rows in zip(
        world.cameras, world.cam_from_world, world.features, world.point_of, strict=True
    ):
        in_camera = world.points_in_world[rows] @ pose.rotation.T + pose.translation
        assert np.abs(project(camera, in_camera) - features.keypoints).max() < 1e-3
        assert ((features.keypoints > 0) & (features.keypoints < features.image_size)).all()


def test_a_photo_sees_only_the_part_of_the_world_in_its_field_of_view():
    world = synthetic_world(cameras=4, points=300, seed=5)
    assert all(150 < len(features) < 300 for features in world.features)


def test_noise_moves_keypoints_by_the_amount_asked():
    still, noisy = (synthetic_world(cameras=2, points=2000, noise_px=noise, seed=3) for noise in (0.0, 0.7))
    both, first, second = np.intersect1d(still.point_of[0], noisy.point_of[0], return_indices=True)
    moved = noisy.features[0].keypoints[second] - still.features[0].keypoints[first]
    assert len(both) > 1000
    assert 0.65 < moved.std() < 0.75


def test_the_share_of_wrong_matches_is_the_one_asked():
    world = synthetic_world(cameras=2, points=500, outlier_ratio=0.4, seed=6)
    matches, true = world.matches[0, 1], world.true_matches(0, 1)
    wrong = world.point_of[0][matches.indices[:, 0]] != world.point_of[1][matches.indices[:, 1]]
    assert wrong.sum() == round(0.4 * len(true))
    assert len(matches) == len(true) == len(np.unique(matches.indices[:, 1]))
    assert len(world.geometry(0, 1)) == (~wrong).sum()


def test_scenes_share_nothing():
    world = synthetic_world(cameras=3, points=60, scenes=3, seed=7)
    assert world.names == tuple(sorted(world.names))
    assert set(world.scene_of) == {0, 1, 2}
    assert all(world.scene_of[i] == world.scene_of[j] for i, j in world.matches)
    assert len(world.matches) == 9
    assert world.geometry(0, 8).configuration == "UNDEFINED"


def test_the_nearest_descriptor_belongs_to_the_same_point():
    world = synthetic_world(cameras=2, points=400, seed=8)
    true = world.true_matches(0, 1).indices
    a, b = (world.features[k].descriptors.astype(np.float32) for k in (0, 1))
    distances = np.linalg.norm(a[true[:, 0], None] - b[None], axis=2)
    best, second = np.sort(distances, axis=1)[:, :2].T
    assert (distances.argmin(axis=1) == true[:, 1]).all()
    assert (best < 0.5 * second).all()


def test_scale_and_orientation_follow_the_camera():
    world = synthetic_world(cameras=2, points=300, step_deg=1.0, seed=9)
    true = world.true_matches(0, 1).indices
    a, b = world.features[0], world.features[1]
    ratio = a.scales[true[:, 0]] / b.scales[true[:, 1]]
    turn = np.angle(np.exp(1j * (a.orientations[true[:, 0]] - b.orientations[true[:, 1]])))
    assert np.abs(np.log(ratio)).max() < 0.2
    assert np.abs(turn - np.median(turn)).max() < 0.2


def test_the_same_seed_makes_the_same_world():
    first, again, other = (synthetic_world(cameras=3, points=50, noise_px=1, seed=seed) for seed in (1, 1, 2))
    for name in ("keypoints", "descriptors", "scales", "orientations", "colors"):
        assert (getattr(first.features[2], name) == getattr(again.features[2], name)).all()
    assert not np.array_equal(first.points_in_world, other.points_in_world)


CAMERAS = [
    Camera(model="SIMPLE_PINHOLE", width=640, height=480, params=(500.0, 320.0, 240.0)),
    Camera(model="PINHOLE", width=640, height=480, params=(500.0, 510.0, 322.0, 238.0)),
    Camera(model="SIMPLE_RADIAL", width=640, height=480, params=(500.0, 320.0, 240.0, 0.12)),
    Camera(model="RADIAL", width=640, height=480, params=(500.0, 320.0, 240.0, -0.1, 0.02)),
    Camera(model="OPENCV", width=640, height=480, params=(500.0, 510.0, 320.0, 240.0, -0.1, 0.02, 0.002, -0.001)),
    Camera(model="OPENCV_FISHEYE", width=640, height=480, params=(300.0, 300.0, 320.0, 240.0, 0.02, -0.01, 0.0, 0.0)),
]


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.model)
def test_pixels_agree_with_colmap_both_ways(camera):
    import pycolmap

    peer = pycolmap.Camera(model=camera.model, width=camera.width, height=camera.height, params=camera.params)
    pixels = np.random.default_rng(0).uniform(0, 1, (200, 2)) * [camera.width, camera.height]
    directions = rays(camera, pixels)
    assert np.abs(directions[:, :2] - peer.cam_from_img(pixels)).max() < 1e-6
    points = directions * np.random.default_rng(1).uniform(1, 9, (200, 1))
    assert np.abs(project(camera, points) - pixels).max() < 1e-6
    assert np.abs(peer.img_from_cam(points) - pixels).max() < 1e-4


def test_points_behind_or_folded_over_have_no_pixel():
    strong = Camera(model="SIMPLE_RADIAL", width=640, height=480, params=(500.0, 320.0, 240.0, -0.3))
    pixels = project(strong, np.array([[0, 0, -1.0], [4.0, 0, 1.0], [0.2, 0, 1.0]]))
    assert np.isnan(pixels[:2]).all()
    assert np.isfinite(pixels[2]).all()
