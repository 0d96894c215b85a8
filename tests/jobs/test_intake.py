import io
import shutil
import threading

import pytest
from PIL import Image

from reconflow.errors import DiskFullError, InputError
from reconflow.jobs.intake import look_at


def look(upload, tmp_path, **limits):
    given = {"max_megapixels": 400.0, "stopping": threading.Event()} | limits
    return look_at(upload, unpack_to=tmp_path / "photos", baseline=tmp_path / "none.json", **given)


def test_photos_in_any_folder_and_any_case_are_counted(noise, tmp_path):
    names = ["a.PNG", "deep/er/b.png", "deep/a.png", "__MACOSX/._a.png", "notes.txt", "Thumbs.db"]
    seen = look(noise.pack(tmp_path / "u.zip", [(name, noise.picture(i)) for i, name in enumerate(names)]), tmp_path)
    assert (seen.n_images, seen.n_readable) == (3, 3)


def test_a_corrupt_photo_is_dropped_and_fails_nothing(noise, tmp_path):
    entries = noise.entries(3)
    seen = look(noise.pack(tmp_path / "u.zip", [*entries, ("bad.jpg", b"\xff\xd8 not a photo")]), tmp_path)
    assert (seen.n_images, seen.n_readable) == (4, 3)


def test_what_only_calls_itself_a_photo_is_dropped_and_fails_nothing(noise, tmp_path):
    gif = io.BytesIO()
    Image.new("L", (64, 48)).save(gif, "GIF")
    entries = noise.entries(3)
    seen = look(noise.pack(tmp_path / "u.zip", [*entries, ("gif.png", gif.getvalue())]), tmp_path)
    assert (seen.n_images, seen.n_readable) == (4, 3)


def test_many_files_of_which_none_is_a_photo_are_refused(noise, tmp_path):
    entries = [(f"{number}.jpg", b"\xff\xd8 not a photo") for number in range(130)]  # more than are looked at
    with pytest.raises(InputError, match="0 usable photos"):
        look(noise.pack(tmp_path / "u.zip", entries), tmp_path)


def test_why_a_look_ended_is_in_the_log(tmp_path, caplog):
    with pytest.raises(InputError, match="crashed"):
        look(tmp_path / "gone.zip", tmp_path)
    assert "FileNotFoundError" in caplog.text


def test_without_a_baseline_there_is_a_warning_and_no_verdict(noise, tmp_path):
    seen = look(noise.pack(tmp_path / "u.zip", noise.entries(5)), tmp_path)
    assert seen.drift.checks == {}
    assert any("baseline" in warning for warning in seen.drift.warnings)


def test_photos_that_need_more_memory_than_allowed_are_refused(noise, tmp_path):
    large = io.BytesIO()
    Image.new("RGB", (12_000, 12_000)).save(large, "PNG", compress_level=1)
    upload = noise.pack(tmp_path / "u.zip", [(f"{i}.png", large.getvalue()) for i in range(3)])
    with pytest.raises(InputError, match="more memory"):
        look(upload, tmp_path, memory_bytes=400 << 20)


def test_an_upload_that_would_fill_the_disk_up_is_told_so(noise, tmp_path):
    upload = noise.pack(tmp_path / "u.zip", noise.entries(3))
    with pytest.raises(DiskFullError):
        look(upload, tmp_path, reserve_bytes=shutil.disk_usage(tmp_path).total)
    assert list((tmp_path / "photos").iterdir()) == []
