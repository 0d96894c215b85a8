import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.core.cameras import Camera, Pose
from reconflow.core.clouds import PointCloud
from reconflow.core.models import Model, RegisteredImage
from reconflow.report.frusta import frustum, kept_counts, thinned
from reconflow.report.scenes import viewer_scenes

CAMERA = Camera(model="PINHOLE", width=1600, height=1200, params=(1500.0, 1500.0, 800.0, 600.0))


def shown(model, clouds=None, orientations=None, max_points=10_000):
    numbers = {name: number for number, name in enumerate(sorted(model.images))}
    (scene,) = viewer_scenes(
        [model],
        clouds=clouds or {},
        photo_numbers=numbers,
        orientations=orientations or {},
        max_points=max_points,
    )
    content = base64.b64decode(scene["points"])
    points = np.frombuffer(content, "<f4", 3 * scene["count"]).reshape(-1, 3)
    colors = np.frombuffer(content, np.uint8, offset=12 * scene["count"]).reshape(-1, 3)
    cameras = {int(row[0]): np.reshape(row[1:], (5, 3)) for row in scene["cameras"]}
    return scene, points, colors, cameras


def test_the_scene_stands_upright_whatever_the_world_frame(finished):
    for model in finished.models:
        _, points, colors, cameras = shown(model)
        # In the made-up world the ground is z = 0 and everything else above it; photos are taken from above it too.
        for corners in cameras.values():
            top, bottom = corners[1:3].mean(axis=0), corners[3:5].mean(axis=0)
            assert top[2] > bottom[2], model.name
        if model.name == "cluster0_model0":
            paving = np.abs(colors.astype(int) - colors.mean(axis=1, keepdims=True)).max(axis=1) < 12
            low = points[paving]
            assert np.ptp(np.percentile(low[:, 2], (10, 60))) < 0.02


def test_photos_in_portrait_orientation_do_not_tip_the_scene(finished):
    model = finished.models[0]
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])  # the camera was rolled by 90°, the tag says how to undo it
    rolled = {
        name: RegisteredImage(
            name=name,
            cam_from_world=Pose(turn @ image.cam_from_world.rotation, turn @ image.cam_from_world.translation),
            camera_id=1,
            observations=1,
            mean_error_px=1,
        )
        for name, image in model.images.items()
    }
    tipped = Model(
        "cluster0_model0",
        rolled,
        {1: CAMERA},
        *(getattr(model, n) for n in ("points", "colors", "errors_px", "track_lengths")),
    )
    _, upright, _, _ = shown(model)
    # turn maps the old "up" (0, -1) to (1, 0): the top of the displayed photo lies at +x, which is tag 8.
    _, points, _, cameras = shown(tipped, orientations=dict.fromkeys(rolled, 8))
    assert np.allclose(np.percentile(points[:, 2], (5, 50, 95)), np.percentile(upright[:, 2], (5, 50, 95)), atol=0.03)
    for corners in cameras.values():
        assert corners[1:3, 2].mean() > corners[3:5, 2].mean()


def test_photos_that_all_look_the_same_way_stand_upright_too(finished):
    model = finished.models[2]
    axes = model.images["street/DSC00704.JPG"].cam_from_world.rotation
    same = {
        name: RegisteredImage(
            name=name,
            cam_from_world=Pose(axes, -axes @ image.cam_from_world.center_in_world),
            camera_id=1,
            observations=1,
            mean_error_px=1,
        )
        for name, image in model.images.items()
    }
    values = (getattr(model, name) for name in ("points", "colors", "errors_px", "track_lengths"))
    _, points, _, _ = shown(Model(model.name, same, {1: CAMERA}, *values))
    # A wall that faces the viewer is wide and high but not deep.
    width, depth, height = np.ptp(np.percentile(points, (4, 96), axis=0), axis=0)
    assert depth < 0.2 * height < 0.2 * width


def test_most_of_the_scene_lies_in_the_unit_ball_despite_stray_points(finished):
    model = finished.models[2]
    stray = np.vstack([model.points, model.points.mean(axis=0) + [[1e6, 0, 0], [0, 300, 0], [np.nan, 0, 0]]])
    cloud = PointCloud(stray, np.vstack([model.colors, np.zeros((3, 3), np.uint8)]))
    scene, points, _, _ = shown(model, clouds={model.name: cloud}, max_points=len(stray))
    assert scene["total"] == len(stray)
    assert np.isfinite(points).all()
    assert np.abs(points).max() < 25
    assert (np.linalg.norm(points, axis=1) < 1.2).mean() > 0.9


def test_a_model_without_points_still_shows_its_cameras(finished):
    model = finished.models[3]
    empty = Model(model.name, model.images, model.cameras, np.zeros((0, 3)), np.zeros((0, 3), np.uint8),
                  np.zeros(0, np.float32), np.zeros(0, np.int32))  # fmt: skip
    scene, _, _, cameras = shown(empty)
    assert scene["count"] == 0
    assert len(cameras) == 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_corners_go_round_the_displayed_photo_from_its_top_left(orientation):
    from PIL import Image, ImageOps

    image = RegisteredImage(
        name="a", cam_from_world=Pose(np.eye(3), np.zeros(3)), camera_id=1, observations=0, mean_error_px=0
    )
    corners = frustum(image, CAMERA, size=1.0, orientation=orientation)[1:]
    pixels = np.round(corners[:, :2] / corners[:, 2:] * 1500 + [800, 600]).astype(int)
    # Pillow is the witness: it turns a raster whose corners are marked.
    raster = np.zeros((1200, 1600), np.uint8)
    for value, (x, y) in enumerate(pixels, start=1):
        raster[min(y, 1199), min(x, 1599)] = value
    photo = Image.fromarray(raster)
    photo.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(photo))
    assert [upright[0, 0], upright[0, -1], upright[-1, -1], upright[-1, 0]] == [1, 2, 3, 4]
    assert np.linalg.norm(corners[0] - corners[2]) == pytest.approx(2.0)


@given(st.lists(st.integers(0, 400_000), max_size=8), st.integers(0, 200_000))
def test_shares_stay_within_the_budget_and_give_no_more_than_there_is(counts, budget):
    kept = kept_counts(counts, at_most=budget)
    assert sum(kept) <= budget
    assert all(0 <= k <= count for k, count in zip(kept, counts, strict=True))
    assert budget < 8 * len(counts) or all(k > 0 for k, count in zip(kept, counts, strict=True) if count)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_thinning_repeats_and_keeps_order(count, at_most):
    rows = thinned(count, at_most=at_most)
    assert len(rows) == min(count, at_most)
    assert (np.diff(rows) > 0).all()
    assert (rows == thinned(count, at_most=at_most)).all()
