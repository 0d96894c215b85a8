from functools import partial

import numpy as np
import pytest

from reconflow.world import textures as t

GREENS = [(0.3, 0.4, 0.2), (0.4, 0.5, 0.25)]
MATERIALS = {
    "stone": partial(t.stone, color=(0.7, 0.65, 0.6)),
    "masonry": partial(t.masonry, course_px=20.0, colors=[(0.7, 0.6, 0.5)]),
    "cobbles": partial(t.cobbles, stone_px=20.0, colors=[(0.5, 0.5, 0.45)]),
    "plaster": partial(t.plaster, color=(0.8, 0.7, 0.5), course_px=8.0),
    "rock": partial(t.rock, color=(0.5, 0.5, 0.45)),
    "foliage": partial(t.foliage, colors=GREENS, leaf_px=8.0),
    "grass": partial(t.grass, colors=GREENS, tuft_px=5.0),
    "roof_tiles": partial(t.roof_tiles, tile_px=20.0, color=(0.6, 0.35, 0.25)),
}


@pytest.mark.parametrize("name", sorted(MATERIALS))
def test_a_material_is_finite_from_0_to_1_of_any_size(name):
    for height, width in ((8, 8), (9, 300), (131, 17), (200, 256)):
        raster = MATERIALS[name](np.random.default_rng(0), height, width)
        assert raster.shape == (height, width, 3)
        assert raster.dtype == np.float32
        assert np.isfinite(raster).all()
        assert raster.min() >= 0
        assert raster.max() <= 1


@pytest.mark.parametrize("name", sorted(MATERIALS))
def test_a_material_is_rich_in_features_and_another_seed_shares_none(name):
    import cv2

    images = [
        (MATERIALS[name](np.random.default_rng(seed), 256, 256).mean(axis=2) * 255).astype(np.uint8) for seed in (0, 1)
    ]
    (points, a), (_, b) = (cv2.SIFT_create(400).detectAndCompute(image, None) for image in images)
    assert len(points) > 150
    nearest = np.sort(np.linalg.norm(a[:, None] - b[None], axis=2), axis=1)[:, :2]
    assert (nearest[:, 0] < 0.7 * nearest[:, 1]).mean() < 0.05


def test_noise_has_no_mean_and_unit_deviation():
    noise = t.fractal_noise(np.random.default_rng(0), 300, 200, largest_px=90)
    assert abs(noise.mean()) < 1e-4
    assert noise.std() == pytest.approx(1, abs=1e-3)


def test_signs_are_written_inside_their_box_only():
    blank = np.full((120, 200, 3), 0.8, np.float32)
    written = t.inscribed(np.random.default_rng(0), blank, (30, 20, 170, 100), letter_px=20.0, color=(0.1, 0.1, 0.1))
    changed = np.abs(written - blank).max(axis=2) > 0.02
    assert changed.mean() > 0.05
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 16
    assert rows.max() < 112
    assert columns.min() >= 26
    assert columns.max() < 178
