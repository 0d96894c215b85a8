import numpy as np
import pytest
from PIL import Image, ImageOps

from reconflow.core.encodings import Encoding, Frame
from reconflow.core.turns import Turn, upright_quarters

WIDTH, HEIGHT = 7, 5
RAW = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
CENTRES = np.array([[x + 0.5, y + 0.5] for y in range(HEIGHT) for x in range(WIDTH)], np.float32)


def read_at(raster, places):
    columns, rows = np.floor(places).astype(int).T
    return raster[rows, columns]


@pytest.mark.parametrize("quarters", range(4))
def test_a_place_and_its_pixel_turn_together(quarters):
    turn = Turn(quarters, (WIDTH, HEIGHT))
    turned = turn.image(RAW)
    np.testing.assert_array_equal(read_at(turned, turn.from_raw(CENTRES)), RAW.ravel())
    np.testing.assert_allclose(turn.to_raw(turn.from_raw(CENTRES)), CENTRES)


def test_quarters_go_clockwise():
    # The left column, read from the bottom, becomes the top row.
    np.testing.assert_array_equal(Turn(1, (WIDTH, HEIGHT)).image(RAW)[0], RAW[::-1, 0])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientations_are_undone_as_pillow_does(orientation):
    photo = Image.fromarray(RAW)
    photo.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(photo))
    np.testing.assert_array_equal(Turn(upright_quarters(orientation), (WIDTH, HEIGHT)).image(RAW), upright)


def test_an_encoding_of_a_turned_photo_gives_places_in_the_raw_one():
    turn = Turn(1, (2000, 1000))
    frame = Frame(size=(256, 512), scale=(1000 / 256, 2000 / 512), offset=(0.0, 0.0))
    encoding = Encoding(np.zeros((1, 8), np.float16), (1, 1), np.zeros((1, 1, 3), np.uint8), frame).of_turned(turn)
    top_left = encoding.frame.to_photo(np.array([[0.0, 0.0]]))
    np.testing.assert_array_equal(top_left, [[0.0, 1000.0]])
    np.testing.assert_array_equal(encoding.frame.to_raster(top_left), [[0.0, 0.0]])
