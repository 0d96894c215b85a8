import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from reconflow.report.thumbnails import placeholder, thumbnail, within_budget


def opened(content):
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


@pytest.fixture
def quarters(tmp_path):
    """A photo with four plainly different corners."""
    pixels = np.zeros((600, 800, 3), np.uint8)
    pixels[:300, :400], pixels[:300, 400:] = (220, 30, 30), (30, 200, 30)
    pixels[300:, :400], pixels[300:, 400:] = (30, 30, 220), (220, 220, 30)
    path = tmp_path / "quarters.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_thumbnail_is_upright(quarters, orientation):
    small = opened(thumbnail(quarters, orientation=orientation, long_edge_px=80))
    photo = Image.open(quarters).resize((80, 60))
    photo.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(photo)
    assert small.size == upright.size
    assert np.abs(np.asarray(small, int) - np.asarray(upright, int)).mean() < 6


def test_a_file_of_a_format_that_is_no_photos_gives_the_neutral_picture(tmp_path):
    Image.new("RGB", (50, 30), (255, 0, 0)).save(tmp_path / "a.png", "GIF")
    assert thumbnail(tmp_path / "a.png") == placeholder()


def test_a_thumbnail_is_never_larger_than_the_photo(tmp_path):
    Image.new("RGB", (50, 30)).save(tmp_path / "tiny.png")
    assert opened(thumbnail(tmp_path / "tiny.png")).size == (50, 30)


def test_a_photo_over_pillows_limit_is_seen(quarters, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert np.asarray(opened(thumbnail(quarters, long_edge_px=8))).std() > 20


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16", "F", "1"])
def test_every_kind_of_raster_gives_a_colour_thumbnail(tmp_path, mode):
    path = tmp_path / "photo.tif"
    level = np.linspace(0, 60_000, 120 * 90).reshape(90, 120)
    if mode == "I;16":
        Image.fromarray(level.astype(np.uint16)).save(path)
    elif mode == "F":
        Image.fromarray(level.astype(np.float32)).save(path)
    else:
        Image.fromarray((level / 256).astype(np.uint8)).convert(mode).save(path)
    small = opened(thumbnail(path, long_edge_px=60))
    assert small.mode == "RGB"
    assert np.asarray(small).std() > 20


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0 cut short"])
def test_a_broken_file_gives_the_placeholder(tmp_path, content):
    (tmp_path / "broken.jpg").write_bytes(content)
    assert thumbnail(tmp_path / "broken.jpg") == placeholder(160)


def test_a_file_cut_short_and_a_missing_one_give_the_placeholder(tmp_path):
    whole = io.BytesIO()
    Image.effect_noise((900, 700), 80).save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:9000])
    assert thumbnail(tmp_path / "cut.jpg") == placeholder(160)
    assert thumbnail(tmp_path / "missing.jpg") == placeholder(160)
    assert opened(placeholder(160)).size == (160, 120)


def test_thumbnails_over_budget_shrink_together_until_they_fit():
    out = io.BytesIO()
    Image.effect_noise((160, 120), 90).save(out, "JPEG", quality=85)
    many = {f"{i:03d}.jpg": out.getvalue() for i in range(40)}
    assert within_budget(many, budget_bytes=10**7) == many
    fitting = within_budget(many, budget_bytes=100_000)
    assert sum(map(len, fitting.values())) <= 100_000
    assert list(fitting) == sorted(many)
    assert len({opened(content).size for content in fitting.values()}) == 1
    few = within_budget(many, budget_bytes=3_000)
    assert sum(map(len, few.values())) <= 3_000
    assert list(few) == sorted(many)[: len(few)]
