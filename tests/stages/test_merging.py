import dataclasses

import numpy as np
import pytest

from reconflow.config import ReconstructConfig
from reconflow.core.cameras import Camera
from reconflow.core.matches import Points, TwoViewGeometry
from reconflow.evaluation.similarity import align_similarity
from reconflow.stages.reconstruct import View, ViewPair, read_model, reconstruct
from reconflow.stages.reconstruct.merging import merge_points
from reconflow.world.correspondences import synthetic_world

CAMERA = Camera.from_focal("SIMPLE_RADIAL", 640, 480, 600.0, prior=False)


def view(*keypoints):
    places = np.array(keypoints, np.float32).reshape(-1, 2)
    return View("a.jpg", 0, CAMERA, places, np.full((len(places), 3), 9, np.uint8))


def points(*places, grey=100):
    places = np.array(places, np.float32).reshape(-1, 2)
    return Points(places, np.full((len(places), 3), grey, np.uint8))


def pair(first, second, inliers, first_points=None, second_points=None):
    geometry = dataclasses.replace(TwoViewGeometry.undefined(), inliers=np.array(inliers, np.int32))
    return ViewPair(first, second, geometry, first_points or points(), second_points or points())


def test_pairs_without_points_of_their_own_stay_as_they_are():
    views, pairs = [view((5, 5)), view((6, 6))], [pair(0, 1, [[0, 0]])]
    merged_views, merged_pairs = merge_points(views, pairs, cells=64)
    assert merged_views[0] is views[0]
    assert merged_pairs[0] is pairs[0]


def test_points_of_two_pairs_in_one_cell_are_one_keypoint_at_their_mean():
    views = [view((200, 200)), view(), view()]
    pairs = [
        pair(0, 1, [[1, 0]], points((31, 41), grey=100), points((100, 100))),
        pair(0, 2, [[1, 0]], points((33, 43), grey=50), points((300, 100))),
    ]
    merged, (one, two) = merge_points(views, pairs, cells=64)  # cells of 10 px
    np.testing.assert_array_equal(merged[0].keypoints, [[200, 200], [32, 42]])
    np.testing.assert_array_equal(merged[0].colors, [[9, 9, 9], [75, 75, 75]])
    np.testing.assert_array_equal(one.geometry.inliers, [[1, 0]])
    np.testing.assert_array_equal(two.geometry.inliers, [[1, 0]])
    assert len(merged[1].keypoints) == len(merged[2].keypoints) == 1


def test_a_point_that_all_but_hits_a_keypoint_becomes_it():
    views = [view((35, 45), (60, 60)), view()]
    pairs = [pair(0, 1, [[2, 0], [3, 1]], points((36, 46), (39, 49)), points((100, 100), (200, 200)))]
    merged, (joined,) = merge_points(views, pairs, cells=64)
    np.testing.assert_array_equal(merged[0].keypoints, [[35, 45], [60, 60], [39, 49]])
    np.testing.assert_array_equal(joined.geometry.inliers, [[0, 0], [2, 1]])


def test_a_pair_uses_no_keypoint_twice_and_prefers_the_matches_of_keypoints():
    views = [view((35, 45)), view((105, 105))]
    pairs = [
        pair(
            *(0, 1, [[1, 1], [0, 0], [2, 2], [3, 3]]),
            points((36, 45), (300, 300), (302, 302)),
            points((400, 400), (500, 300), (520, 300)),
        )
    ]
    _, (joined,) = merge_points(views, pairs, cells=64)
    np.testing.assert_array_equal(joined.geometry.inliers, [[0, 0], [1, 1]])


@pytest.mark.parametrize("noise_px", [0.0, 0.5])
def test_a_scene_of_nothing_but_points_of_pairs_is_mapped(tmp_path, noise_px):
    world = synthetic_world(cameras=6, points=400, noise_px=0.3, seed=1)
    rng = np.random.default_rng(0)

    def own(features, rows):
        places = features.keypoints[rows] + rng.normal(0, noise_px, (len(rows), 2)).astype(np.float32)
        return Points(places, features.colors[rows])

    views = [View(n, 0, c, np.zeros((0, 2)), np.zeros((0, 3), np.uint8)) for n, c in zip(world.names, world.cameras)]  # noqa: B905
    pairs = []
    for i, j in sorted(world.matches):
        geometry = world.geometry(i, j)
        a, b = geometry.inliers.T
        rows = np.repeat(np.arange(len(a), dtype=np.int32)[:, None], 2, axis=1)
        own_points = own(world.features[i], a), own(world.features[j], b)
        pairs.append(ViewPair(i, j, dataclasses.replace(geometry, inliers=rows), *own_points))
    found = reconstruct(views, pairs=pairs, config=ReconstructConfig(), threads=1, out=tmp_path)
    model = read_model(found.models[0], name="model")
    assert sorted(model.images) == list(world.names)
    truth = dict(zip(world.names, world.cam_from_world, strict=True))
    source = np.array([model.images[name].cam_from_world.center_in_world for name in world.names])
    target = np.array([truth[name].center_in_world for name in world.names])
    errors = np.linalg.norm(align_similarity(source, target).apply(source) - target, axis=1)
    assert errors.max() < 0.05
    lengths = [len(track) for track in tracks(found.models[0])]
    assert np.mean(lengths) > 3


def tracks(folder):
    import pycolmap

    return [point.track.elements for point in pycolmap.Reconstruction(str(folder)).points3D.values()]
