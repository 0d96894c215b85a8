import io
import shutil
import struct
import threading
import uuid
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from reconflow.errors import DiskFullError, InputError, NoImagesError, TooFewImagesError
from reconflow.jobs.forms import UploadForm
from reconflow.jobs.intake import look_at
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings


def picture(seed=0, size=(64, 48)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def pack(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def look(upload, tmp_path, **limits):
    given = {"max_megapixels": 400.0, "stopping": threading.Event()} | limits
    return look_at(upload, unpack_to=tmp_path / "photos", baseline=tmp_path / "none.json", **given)


def test_photos_in_any_folder_and_any_case_are_counted(tmp_path):
    names = ["a.PNG", "deep/er/b.png", "deep/a.png", "__MACOSX/._a.png", "notes.txt", "Thumbs.db"]
    seen = look(pack(tmp_path / "u.zip", [(name, picture(i)) for i, name in enumerate(names)]), tmp_path)
    assert (seen.n_images, seen.n_readable) == (3, 3)


def test_a_corrupt_photo_is_dropped_and_fails_nothing(tmp_path):
    entries = [(f"{i}.png", picture(i)) for i in range(3)]
    seen = look(pack(tmp_path / "u.zip", [*entries, ("bad.jpg", b"\xff\xd8 not a photo")]), tmp_path)
    assert (seen.n_images, seen.n_readable) == (4, 3)


def test_without_a_baseline_there_is_a_warning_and_no_verdict(tmp_path):
    seen = look(pack(tmp_path / "u.zip", [(f"{i}.png", picture(i)) for i in range(5)]), tmp_path)
    assert seen.drift.checks == {}
    assert any("baseline" in warning for warning in seen.drift.warnings)


def test_photos_that_need_more_memory_than_allowed_are_refused(tmp_path):
    large = io.BytesIO()
    Image.new("RGB", (12_000, 12_000)).save(large, "PNG", compress_level=1)
    upload = pack(tmp_path / "u.zip", [(f"{i}.png", large.getvalue()) for i in range(3)])
    with pytest.raises(InputError, match="more memory"):
        look(upload, tmp_path, memory_bytes=400 << 20)


def test_an_upload_that_would_fill_the_disk_up_is_told_so(tmp_path):
    upload = pack(tmp_path / "u.zip", [(f"{i}.png", picture(i)) for i in range(3)])
    with pytest.raises(DiskFullError):
        look(upload, tmp_path, reserve_bytes=shutil.disk_usage(tmp_path).total)
    assert list((tmp_path / "photos").iterdir()) == []


def bomb_by_size(path):
    """A PNG whose header promises 60 000 × 60 000 pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    huge = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return pack(path, [(f"{i}.png", huge) for i in range(3)])


def overlapping(path):
    """Two directory entries that point at the same bytes."""
    pack(path, [("a.png", picture()), ("b.png", picture(1)), ("c.png", picture(2))])
    content = bytearray(path.read_bytes())
    first = content.find(b"PK\x01\x02")
    second = content.find(b"PK\x01\x02", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)
    return path


def linked(path):
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("a.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        for i in range(3):
            archive.writestr(f"{i}.png", picture(i))
    return path


def encrypted(path):
    pack(path, [(f"{i}.png", picture(i)) for i in range(3)])
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    path.write_bytes(content)
    return path


def truncated(path):
    pack(path, [(f"{i}.png", picture(i)) for i in range(3)])
    path.write_bytes(path.read_bytes()[:-40])
    return path


def not_a_zip(path):
    path.write_bytes(picture())
    return path


def lying(path):
    """A header that promises less than what inflates."""
    pack(path, [("a.bmp", bytes(200 << 20)), ("b.png", picture())], zipfile.ZIP_DEFLATED)
    return path


REFUSED = {
    "not a ZIP": (not_a_zip, InputError),
    "empty": (lambda p: pack(p, []), NoImagesError),
    "no photo": (lambda p: pack(p, [("notes.txt", "hello")]), NoImagesError),
    "two photos": (lambda p: pack(p, [("a.png", picture()), ("b.png", picture(1))]), TooFewImagesError),
    "all corrupt": (lambda p: pack(p, [(f"{i}.png", b"no") for i in range(5)]), TooFewImagesError),
    "path above": (lambda p: pack(p, [(f"../{i}.png", picture(i)) for i in range(3)]), InputError),
    "absolute path": (lambda p: pack(p, [(f"/etc/{i}.png", picture(i)) for i in range(3)]), InputError),
    "link": (linked, InputError),
    "encrypted": (encrypted, InputError),
    "truncated": (truncated, InputError),
    "nested ZIP": (lambda p: pack(p, [("in.zip", b"PK"), *[(f"{i}.png", picture(i)) for i in range(3)]]), InputError),
    "overlapping": (overlapping, InputError),
    "ratio bomb": (lying, InputError),
    "huge dimensions": (bomb_by_size, TooFewImagesError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_uploads_are_refused_with_a_sentence_and_leave_nothing(case, tmp_path):
    make, kind = REFUSED[case]
    upload = make(tmp_path / "upload.zip")
    with pytest.raises(kind) as refused:
        look(upload, tmp_path)
    assert type(refused.value) is kind or kind is InputError
    assert str(tmp_path) not in refused.value.message
    assert not [path for path in (tmp_path / "photos").rglob("*") if path.name.startswith(".partial")]


@pytest.mark.parametrize("case", REFUSED)
def test_hostile_uploads_in_pieces_are_refused_alike_and_leave_no_bytes(case, tmp_path):
    make, kind = REFUSED[case]
    content = make(tmp_path / "upload.zip").read_bytes()
    settings = load_settings({}, data_dir=tmp_path / "data", min_free_bytes=1 << 20)
    mallory = User(user_id=str(uuid.uuid4()), name="mallory", role="user", created_at=0.0)
    with Ledger.open(settings.ledger_url) as ledger:
        service = JobService(settings, ledger)
        upload = service.begin_upload(mallory, length=len(content), metadata="", form=UploadForm())
        with service.uploads.writer(mallory.user_id, upload.upload_id, offset=0) as writer:
            writer.write(content)
        for _ in range(2):
            with pytest.raises(kind) as refused:
                service.end_upload(mallory, upload.upload_id)
            assert str(tmp_path) not in refused.value.message
        assert ledger.jobs().jobs == ()
    assert list(service.files.jobs.iterdir()) == list(service.files.incoming.iterdir()) == []
    assert [path.name for path in upload.path.parent.iterdir()] == ["about.json"]
