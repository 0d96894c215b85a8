import cv2
import numpy as np
import pytest

from reconflow.nets.frames import frame_of, framed

RASTER = {"long_edge_px": 512, "patch_px": 16}


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600), (640, 480), (512, 512), (300, 200), (5000, 333)])
def test_a_spot_of_the_photo_is_found_at_its_place_in_the_raster(size):
    width, height = size
    spot = np.array([0.55 * width, 0.45 * height])
    photo = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width] + 0.5
    radius = min(size) / 12
    photo[:] = (255 * np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / radius**2)).astype(np.uint8)[
        ..., None
    ]
    frame = frame_of(width, height, **RASTER)
    raster = framed(photo, frame)
    assert raster.shape == (frame.size[1], frame.size[0], 3)
    assert all(side % 16 == 0 for side in frame.size)
    weights = raster[..., 0].astype(np.float64) ** 2
    rows, columns = np.mgrid[: frame.size[1], : frame.size[0]] + 0.5
    centre = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    np.testing.assert_allclose(frame.to_photo(centre[None])[0], spot, atol=0.15 * max(1, max(size) / 512))


def test_what_is_cropped_lies_outside():
    frame = frame_of(1000, 700, **RASTER)  # 512 × 358, of which 352 rows stay
    assert frame.size == (512, 352)
    assert frame.offset == (0.0, 3.0)
    assert frame.to_raster(np.array([[500.0, 1.0]]))[0, 1] < 0
    assert frame.to_raster(np.array([[500.0, 699.0]]))[0, 1] > 352


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 900)])
def test_a_tiny_photo_still_makes_a_token(size):
    frame = frame_of(*size, **RASTER)
    raster = framed(np.full((size[1], size[0], 3), 7, np.uint8), frame)
    assert raster.shape[:2] == (frame.size[1], frame.size[0])
    assert min(frame.size) >= 16
    corners = frame.to_photo(np.array([[0, 0], frame.size]))
    assert (corners >= -1e-3).all()
    assert (corners <= np.array(size) + 1e-3).all()


def test_the_photo_is_left_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    before = photo.copy()
    framed(photo, frame_of(512, 512, **RASTER))
    assert np.array_equal(photo, before)
    assert np.array_equal(cv2.resize(photo, (512, 512)), before)
