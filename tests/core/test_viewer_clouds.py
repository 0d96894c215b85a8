from dataclasses import replace

import numpy as np
import pytest

from reconflow.core.models import Model
from reconflow.core.viewer_clouds import decode_viewer_cloud, encode_viewer_cloud
from reconflow.errors import InputError


def model(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return Model(
        name="cluster0_model0",
        images={},
        cameras={},
        points=rng.normal(size=(count, 3)),
        colors=rng.integers(0, 256, (count, 3), np.uint8),
        errors_px=rng.uniform(0, 4, count).astype(np.float32),
        track_lengths=rng.integers(2, 400, count).astype(np.int32),
    )


def test_points_come_back_with_what_is_known_of_each():
    made = model(1000)
    found = decode_viewer_cloud(encode_viewer_cloud(made))
    rows = [int(np.argmin(np.abs(made.points - point).sum(axis=1))) for point in found.points]
    assert sorted(rows) == list(range(1000))
    np.testing.assert_allclose(found.points, made.points[rows], rtol=1e-6)
    np.testing.assert_array_equal(found.colors, made.colors[rows])
    np.testing.assert_array_equal(found.observations, np.minimum(made.track_lengths[rows], 255))
    np.testing.assert_allclose(found.errors_px, made.errors_px[rows], rtol=1e-3)


def test_a_large_model_is_thinned_evenly_and_says_how_large_it_was():
    made = model(5000)
    found = decode_viewer_cloud(encode_viewer_cloud(made, max_points=500))
    assert (len(found.points), found.total) == (500, 5000)
    assert np.abs(found.points.mean(axis=0)).max() < 0.2


def test_the_first_points_are_the_whole_cloud_thinned():
    made = model(4000)
    made = replace(made, points=made.points[np.argsort(made.points[:, 0])])
    found = decode_viewer_cloud(encode_viewer_cloud(made))
    assert abs(np.median(found.points[:400, 0]) - np.median(found.points[:, 0])) < 0.2


def test_the_same_model_gives_the_same_bytes_of_the_documented_size():
    assert encode_viewer_cloud(model(300)) == encode_viewer_cloud(model(300))
    assert len(encode_viewer_cloud(model(300))) == 16 + 300 * 18


def test_points_that_are_nowhere_are_left_out():
    made = model(10)
    made = replace(made, points=np.where(np.arange(10)[:, None] == 3, np.nan, made.points))
    assert len(decode_viewer_cloud(encode_viewer_cloud(made)).points) == 9


@pytest.mark.parametrize("content", [b"", b"ply\n" + bytes(100), encode_viewer_cloud(model(5))[:-1]])
def test_another_file_is_refused(content):
    with pytest.raises(InputError):
        decode_viewer_cloud(content)
