import dataclasses

import numpy as np
import pycolmap
import pytest

from reconflow.config import ReconstructConfig
from reconflow.core.cameras import Camera
from reconflow.evaluation.similarity import align_similarity
from reconflow.stages.reconstruct import View, ViewPair, mapper, read_model, reconstruct
from reconflow.stages.reconstruct.snapshots import read_points
from reconflow.world.correspondences import synthetic_world


def scene(world):
    views = [
        View(name, 0, camera, features.keypoints, features.colors)
        for name, camera, features in zip(world.names, world.cameras, world.features, strict=True)
    ]
    return views, [ViewPair(i, j, world.geometry(i, j)) for i, j in sorted(world.matches)]


def unshared(world, *, focal_px=1100.0, prior=False):
    """Views that each come with a camera of their own and a poor guess of its focal length."""
    guess = Camera.from_focal("SIMPLE_RADIAL", 1024, 768, focal_px, prior=prior)
    return [dataclasses.replace(v, camera_id=i, camera=guess) for i, v in enumerate(scene(world)[0])]


def mapped(world, out, *, views=None, threads=1, **options):
    known, pairs = scene(world)
    views = views or known
    out.mkdir(exist_ok=True)
    heard = []
    found = reconstruct(
        views, pairs=pairs, config=ReconstructConfig(**options), threads=threads, out=out, on_registered=heard.append
    )
    models = [read_model(path, name=f"cluster0_model{i}") for i, path in enumerate(found.models)]
    return found, models, heard


def center_errors(world, model):
    truth = dict(zip(world.names, world.cam_from_world, strict=True))
    names = sorted(model.images)
    source = np.array([model.images[name].cam_from_world.center_in_world for name in names])
    target = np.array([truth[name].center_in_world for name in names])
    return np.linalg.norm(align_similarity(source, target).apply(source) - target, axis=1)


@pytest.mark.parametrize("mapper", ["incremental", "global"])
def test_known_cameras_are_found_again(tmp_path, mapper):
    world = synthetic_world(cameras=6, points=400, noise_px=0.3, seed=1)
    found, (model,), heard = mapped(world, tmp_path, mapper=mapper)
    assert sorted(model.images) == list(world.names)
    assert center_errors(world, model).max() < 0.02
    assert heard[-1] == 6
    assert found.unregistered == {}
    assert [path.name for path in tmp_path.iterdir()] == ["model0"]


def test_numbers_of_a_model_agree_with_each_other(tmp_path):
    world = synthetic_world(cameras=5, points=300, noise_px=0.3, seed=2)
    _, (model,), _ = mapped(world, tmp_path)
    assert sum(image.observations for image in model.images.values()) == model.track_lengths.sum()
    assert 0.1 < np.mean([image.mean_error_px for image in model.images.values()]) < 1
    weighted = np.average(model.errors_px, weights=model.track_lengths)
    by_image = np.average(
        [image.mean_error_px for image in model.images.values()],
        weights=[image.observations for image in model.images.values()],
    )
    assert weighted == pytest.approx(by_image, rel=1e-3)


def test_points_take_the_colours_of_their_keypoints(tmp_path):
    world = synthetic_world(cameras=4, points=200, seed=3)
    _, (model,), _ = mapped(world, tmp_path)
    known = {tuple(color) for color in world.colors.tolist()}
    assert {tuple(color) for color in model.colors.tolist()} <= known


def test_a_scene_of_three_photos_survives(tmp_path):
    world = synthetic_world(cameras=3, points=120, noise_px=0.3, seed=4)
    _, (model,), _ = mapped(world, tmp_path)
    assert len(model.images) == 3


@pytest.fixture
def threads_told(monkeypatch):
    """How many threads COLMAP's mapping was given, and the last adjustment."""
    told = []
    map_, refine = pycolmap.incremental_mapping, mapper.refine_model

    def noted_mapping(database, images, out, options, **callbacks):
        told.append(options.num_threads)
        return map_(database, images, out, options, **callbacks)

    def noted_refining(model, *, config, threads):
        told.append(threads)
        return refine(model, config=config, threads=threads)

    monkeypatch.setattr(pycolmap, "incremental_mapping", noted_mapping)
    monkeypatch.setattr(mapper, "refine_model", noted_refining)
    return told


def test_the_same_scene_gives_the_same_model_whatever_cores_there_are(tmp_path, threads_told):
    world = synthetic_world(cameras=4, points=200, noise_px=0.5, seed=5)
    _, (first,), _ = mapped(world, tmp_path / "a")
    _, (second,), _ = mapped(world, tmp_path / "b", threads=4)
    np.testing.assert_array_equal(first.points, second.points)
    assert threads_told == [1, 1, 1, 1]  # with more, COLMAP's samples come as its threads do


def test_scenes_whose_adjustment_gains_by_threads_have_them(tmp_path, threads_told, monkeypatch):
    world = synthetic_world(cameras=4, points=200, noise_px=0.5, seed=5)
    _, pairs = scene(world)
    matched = {(pair.first, row) for pair in pairs for row in pair.geometry.inliers[:, 0].tolist()}
    matched |= {(pair.second, row) for pair in pairs for row in pair.geometry.inliers[:, 1].tolist()}
    monkeypatch.setattr(mapper, "_THREADS_PAY_FROM", 2 * len(matched))
    mapped(world, tmp_path / "a", threads=4)
    monkeypatch.setattr(mapper, "_THREADS_PAY_FROM", 2 * len(matched) + 1)
    mapped(world, tmp_path / "b", threads=4)
    assert threads_told == [4, 4, 1, 1]


def test_two_places_in_one_scene_become_two_models_the_larger_first(tmp_path):
    large, small = (synthetic_world(cameras=n, points=200, noise_px=0.2, seed=n) for n in (6, 4))
    views, pairs = scene(large)
    more, others = scene(small)
    views += [View(f"b_{v.name}", 1, v.camera, v.keypoints, v.colors) for v in more]
    pairs += [ViewPair(p.first + 6, p.second + 6, p.geometry) for p in others]
    found = reconstruct(views, pairs=pairs, config=ReconstructConfig(), threads=1, out=tmp_path)
    counts = [len(read_model(path, name="cluster0_model0").images) for path in found.models]
    assert counts == [6, 4]


def test_a_photo_that_cannot_be_placed_is_told_with_the_reason(tmp_path):
    world = synthetic_world(cameras=5, points=300, noise_px=0.2, seed=6)
    views, pairs = scene(world)
    kept = [p for p in pairs if 4 not in (p.first, p.second)]
    found = reconstruct(views, pairs=kept, config=ReconstructConfig(), threads=1, out=tmp_path)
    assert found.unregistered == {world.names[4]: "no verified match with a placed photo"}


def test_a_scene_without_a_start_has_no_model_and_says_so(tmp_path):
    world = synthetic_world(cameras=3, points=200, seed=7)
    views, pairs = scene(world)
    found = reconstruct(views, pairs=pairs, config=ReconstructConfig(init_min_inliers=5000), threads=1, out=tmp_path)
    assert found.models == ()
    assert set(found.unregistered.values()) == {"no two photos of its scene make a stable start for a model"}


def test_photos_without_exif_that_agree_come_to_share_a_camera(tmp_path):
    world = synthetic_world(cameras=6, points=400, noise_px=0.5, seed=8)
    _, (alone,), _ = mapped(world, tmp_path / "a", views=unshared(world), final_refinement=False)
    _, (shared,), _ = mapped(world, tmp_path / "b", views=unshared(world))
    assert len(alone.cameras) == 6
    (camera,) = shared.cameras.values()
    assert camera.focal_px == pytest.approx(900, rel=0.01)
    assert center_errors(world, shared).max() < center_errors(world, alone).max()


def test_photos_with_a_focal_length_of_their_own_keep_their_cameras(tmp_path):
    world = synthetic_world(cameras=4, points=300, noise_px=0.3, seed=9)
    _, (model,), _ = mapped(world, tmp_path, views=unshared(world, focal_px=905.0, prior=True))
    assert len(model.cameras) == 4


@pytest.mark.parametrize("focal_px", [880.0, 700.0])
def test_photos_of_two_zooms_do_not_share_a_camera(tmp_path, focal_px):
    world = synthetic_world(cameras=8, points=400, noise_px=0.3, seed=10)
    views, center, zoom = unshared(world), np.float32([512, 384]), np.float32(focal_px / 900)
    for i in (1, 3, 5, 7):  # the same photo with another focal length: every point moves from or towards the centre
        views[i] = dataclasses.replace(views[i], keypoints=center + zoom * (views[i].keypoints - center))
    _, (model,), _ = mapped(world, tmp_path, views=views)
    focals = {name: model.cameras[image.camera_id].focal_px for name, image in model.images.items()}
    expected = [focal_px if i % 2 else 900.0 for i in range(8)]
    assert [focals[name] for name in world.names] == pytest.approx(expected, rel=0.01)


def test_a_principal_point_off_the_centre_is_followed_where_photos_tell(tmp_path):
    camera = Camera(model="SIMPLE_RADIAL", width=1024, height=768, params=(900.0, 522.0, 384.0, 0.0))
    world = synthetic_world(cameras=8, points=500, camera=camera, noise_px=0.3, seed=11)
    centred = Camera.from_focal("SIMPLE_RADIAL", 1024, 768, 900.0, prior=True)
    views = [dataclasses.replace(view, camera=centred) for view in scene(world)[0]]
    _, (kept,), _ = mapped(world, tmp_path / "a", views=views, refine_principal_point=False)
    _, (moved,), _ = mapped(world, tmp_path / "b", views=views)
    assert kept.cameras[1].params[1:3] == (512.0, 384.0)
    assert 514 < moved.cameras[1].params[1] < 522
    assert center_errors(world, moved).mean() < center_errors(world, kept).mean()


def test_short_tracks_go_where_asked(tmp_path):
    world = synthetic_world(cameras=5, points=300, noise_px=0.3, seed=12)
    _, (model,), _ = mapped(world, tmp_path, min_track_length=5)
    assert len(model.points) > 0
    assert model.track_lengths.min() >= 5


def test_points_are_told_on_the_way_and_change_nothing(tmp_path):
    world = synthetic_world(cameras=14, points=300, noise_px=0.3, seed=13)
    views, pairs = scene(world)
    heard = []
    for name, listener in (("alone", None), ("watched", heard.append)):
        (tmp_path / name).mkdir()
        reconstruct(views, pairs=pairs, config=ReconstructConfig(), threads=1, out=tmp_path / name, on_points=listener)
    names = [path.name for path in sorted((tmp_path / "alone" / "model0").iterdir())]
    assert {"cameras.bin", "images.bin", "points3D.bin"} <= set(names)
    for name in names:
        alone, watched = ((tmp_path / each / "model0" / name).read_bytes() for each in ("alone", "watched"))
        assert alone == watched, name
    assert [path.name for path in (tmp_path / "watched").iterdir()] == ["model0"]
    assert 1 <= len(heard) <= 2
    known = {tuple(color) for color in world.colors.tolist()}
    for model in heard:
        assert {tuple(color) for color in model.colors.tolist()} <= known
        assert model.track_lengths.min() >= 2


def test_points_of_a_file_are_those_that_colmap_reads(tmp_path):
    world = synthetic_world(cameras=5, points=200, noise_px=0.3, seed=14)
    mapped(world, tmp_path)
    points, tracks, lengths = read_points((tmp_path / "model0" / "points3D.bin").read_bytes())
    known = pycolmap.Reconstruction(str(tmp_path / "model0")).points3D
    assert sorted(points["id"].tolist()) == sorted(known)
    at = 0
    for point, length in zip(points, lengths, strict=True):
        same = known[int(point["id"])]
        np.testing.assert_array_equal(point["xyz"], same.xyz)
        assert [(e.image_id, e.point2D_idx) for e in same.track.elements] == [
            tuple(row) for row in tracks[at : at + length].tolist()
        ]
        at += length
    assert at == len(tracks)
