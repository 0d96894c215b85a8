import numpy as np
import pytest

from reconflow.core.encodings import Encoding, Frame

FRAME = Frame(size=(512, 336), scale=(2.0, 2.5), offset=(0.0, 24.0))


def test_a_place_goes_to_the_photo_and_back():
    places = np.random.default_rng(0).uniform(0, 336, (50, 2)).astype(np.float32)
    np.testing.assert_allclose(FRAME.to_raster(FRAME.to_photo(places)), places, atol=1e-4)
    np.testing.assert_array_equal(FRAME.to_photo(np.array([[0.5, 0.5]])), [[1.0, 61.25]])


def test_colours_are_those_of_the_small_raster():
    colors = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    encoding = Encoding(np.zeros((2, 8), np.float16), (1, 2), colors, FRAME)
    found = encoding.colors_at(np.array([[0.0, 0.0], [511.9, 335.9], [600.0, -3.0]]))
    np.testing.assert_array_equal(found, [colors[0, 0], colors[3, 5], colors[0, 5]])


def test_tokens_fill_their_grid():
    with pytest.raises(ValueError, match=r"tokens must be \(6, C\), got \(5, 8\)"):
        Encoding(np.zeros((5, 8), np.float16), (2, 3), np.zeros((4, 6, 3), np.uint8), FRAME)
