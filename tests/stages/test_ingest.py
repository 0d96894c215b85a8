import hashlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reconflow.config import IngestConfig
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.photo_files import opened_photo
from reconflow.errors import InputError, NoImagesError
from reconflow.stages.ingest import image_stats, ingest_image, list_photos, read_image


def write_photo(path, *, size=(320, 240), seed=0, exif=None, **options):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif or Image.Exif(), **options)
    return path


def ingest(path, **options):
    return ingest_image(path.name, path, config=IngestConfig(**options))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".JPG"])
def test_every_supported_format_becomes_a_record(tmp_path, suffix):
    path = write_photo(tmp_path / f"a{suffix}")
    record = ingest(path)
    assert isinstance(record, ImageRecord)
    assert (record.width, record.height) == (320, 240)
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.stats is not None


def test_a_photo_of_two_lenses_is_its_first(tmp_path):
    left, right = (Image.new("RGB", (320, 240), colour) for colour in ((200, 0, 0), (0, 0, 200)))
    left.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[right])
    assert isinstance(ingest(tmp_path / "a.jpg"), ImageRecord)
    assert read_image(tmp_path / "a.jpg")[0, 0, 0] > 150


@pytest.mark.parametrize("kind", ["GIF", "EPS", "PPM", "TGA", "ICO", "JPEG2000"])
def test_a_file_of_another_format_is_no_photo_whatever_its_name(tmp_path, kind):
    for suffix in (".jpg", ".png", ".bmp"):
        Image.new("RGB", (64, 48)).save(tmp_path / f"a{suffix}", kind)
        found = ingest(tmp_path / f"a{suffix}")
        assert isinstance(found, Unreadable)
        assert found.reason == "is not an image"


def test_exif_is_read(tmp_path):
    exif = Image.Exif()
    exif[271], exif[272], exif[274] = "Maker ", "Model\0", 6
    exif.get_ifd(0x8769).update({37386: 29.0, 41989: 43, 36867: "2020:01:02 03:04:05"})
    exif.get_ifd(0x8825).update({1: "S", 2: (10.0, 30.0, 0.0), 3: "E", 4: (20.0, 0.0, 36.0), 6: 12.5})
    record = ingest(write_photo(tmp_path / "a.jpg", exif=exif))
    assert isinstance(record, ImageRecord)
    found = record.exif
    assert (found.make, found.model, found.focal_mm, found.taken_at) == ("Maker", "Model", 29.0, "2020:01:02 03:04:05")
    assert (found.latitude_deg, found.longitude_deg, found.altitude_m) == (-10.5, 20.01, 12.5)
    assert record.focal_prior_px == pytest.approx(43 / 43.2666 * 400)


def test_orientation_is_recorded_and_the_raster_is_left_as_it_is(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = write_photo(tmp_path / "a.jpg", exif=exif)
    record = ingest(path)
    assert isinstance(record, ImageRecord)
    assert (record.orientation, record.width, record.height) == (6, 320, 240)
    assert read_image(path).shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an image"),
        (b"<html>", "is not an image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "not an image|cannot be"),
    ],
)
def test_what_is_no_image_is_a_record_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    found = ingest(path)
    assert isinstance(found, Unreadable)
    assert any(word in found.reason for word in reason.split("|"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_file_cut_short_is_found_before_the_run_begins(tmp_path, suffix):
    path = write_photo(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert isinstance(ingest(path), Unreadable)


def test_a_png_that_announces_huge_dimensions_is_refused_without_decoding(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    found = ingest(path)
    assert isinstance(found, Unreadable)
    assert found.reason == "is over 400 megapixels"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_how_large_a_photo_may_be_is_ours_to_say_and_not_pillows(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = write_photo(tmp_path / f"a{suffix}")
    assert isinstance(ingest(path), ImageRecord)
    assert read_image(path).shape == (240, 320, 3)
    found = ingest(path, max_megapixels=0.07)
    assert isinstance(found, Unreadable)
    assert found.reason == "320 × 240 is over 0.07 megapixels"
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_photo_read_beside_another_has_the_larger_limit_and_leaves_pillows_as_it_was(tmp_path):
    path, before = write_photo(tmp_path / "a.png"), Image.MAX_IMAGE_PIXELS
    with opened_photo(path, max_megapixels=500) as first:
        with opened_photo(path, max_megapixels=1), pytest.raises(InputError, match="over"):
            opened_photo(path, max_megapixels=0.01).__enter__()
        assert Image.MAX_IMAGE_PIXELS == 500_000_000
        assert first.convert("RGB").size == (320, 240)
    assert before == Image.MAX_IMAGE_PIXELS


def test_gray_palette_and_alpha_photos_are_read_as_rgb(tmp_path):
    for mode in ("L", "P", "RGBA", "LA", "I;16"):
        path = tmp_path / f"{mode.replace(';', '')}.png"
        Image.fromarray(np.full((64, 64), 100, np.uint8)).convert(mode).save(path)
        assert read_image(path).shape == (64, 64, 3)
        assert isinstance(ingest(path), ImageRecord)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path / "none.jpg")


def test_folders_are_walked_and_hidden_files_passed_over(tmp_path):
    for name in ("b/x.JPG", "a.png", ".hidden.jpg", "__MACOSX/a.jpg", ".git/a.jpg"):
        write_photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    assert [name for name, _ in list_photos(tmp_path)] == ["a.png", "b/x.JPG"]


def test_a_file_whose_name_is_not_utf8_is_listed_under_one_that_is_and_not_read(tmp_path):
    write_photo(tmp_path / "a.jpg")
    write_photo(tmp_path / "caf\udce9" / "b.jpg")
    (name, path), (other, readable) = list_photos(tmp_path)[::-1]
    assert name == "caf\\xe9/b.jpg"
    found = ingest_image(name, path, config=IngestConfig())
    assert isinstance(found, Unreadable)
    assert "is not UTF-8" in found.reason
    assert isinstance(ingest_image(other, readable, config=IngestConfig()), ImageRecord)


def test_a_folder_without_photos_says_what_would_count(tmp_path):
    with pytest.raises(NoImagesError, match=r"holds no photo .*\.jpg"):
        list_photos(tmp_path)


def test_statistics_follow_what_they_are_named_after():
    rng = np.random.default_rng(0)
    flat = np.full((200, 200, 3), 100, np.uint8)
    noisy = np.clip(flat + rng.normal(0, 12, flat.shape), 0, 255).astype(np.uint8)
    red = np.zeros((200, 200, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    assert image_stats(flat).brightness == pytest.approx(100 / 255, abs=1e-3)
    assert image_stats(flat).contrast == pytest.approx(0, abs=1e-6)
    assert image_stats(flat).entropy == 0
    assert image_stats(noisy).sharpness > image_stats(flat).sharpness
    assert image_stats(red).saturation == pytest.approx(1)
    assert image_stats(np.zeros_like(flat)).clipping == pytest.approx(1)


@given(st.floats(0.005, 0.05))
def test_the_noise_estimate_finds_the_noise_that_was_added(sigma):
    level = np.random.default_rng(1).normal(0.5, sigma, (256, 256, 1))
    photo = np.repeat(np.clip(level * 255, 0, 255).round().astype(np.uint8), 3, axis=2)
    assert image_stats(photo).noise == pytest.approx(sigma, rel=0.2)
