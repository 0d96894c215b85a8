import io
import struct
import zipfile

import pytest

from reconflow.errors import InputError, NoImagesError
from reconflow.stages import unpack as module
from reconflow.stages.unpack import unpack


def archive(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in entries:
            made.writestr(name, content)
    return buffer


def opened(buffer):
    return zipfile.ZipFile(io.BytesIO(buffer.getvalue()))


def test_photos_get_neutral_names_and_keep_their_own_for_the_outputs(tmp_path):
    buffer = archive([("b/IMG.JPG", b"1"), ("a/IMG.JPG", b"2"), ("notes.txt", b"3")])
    written = unpack(opened(buffer), tmp_path)
    assert [(name, path.name, path.read_bytes()) for name, path in written] == [
        ("a/IMG.JPG", "000000.jpg", b"2"),
        ("b/IMG.JPG", "000001.jpg", b"1"),
    ]


def test_what_systems_add_to_zips_is_passed_over(tmp_path):
    buffer = archive([("__MACOSX/._a.jpg", b"x"), ("._a.jpg", b"x"), ("a.jpg", b"1"), ("Thumbs.db", b"x")])
    assert [name for name, _ in unpack(opened(buffer), tmp_path)] == ["a.jpg"]


def test_a_zip_without_photos_is_refused(tmp_path):
    with pytest.raises(NoImagesError):
        unpack(opened(archive([("a.txt", b"1"), ("__MACOSX/a.jpg", b"2")])), tmp_path)


def test_an_archive_within_the_zip_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"inner\.zip.*archive itself"):
        unpack(opened(archive([("a.jpg", b"1"), ("inner.zip", b"2")])), tmp_path)


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg", "..\\a.jpg", "C:/a.jpg"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="leave its folder"):
        unpack(opened(archive([(name, b"1")])), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("a.jpg")
    link.external_attr = 0o120777 << 16
    with pytest.raises(InputError, match="symbolic link"):
        unpack(opened(archive([(link, b"/etc/passwd")])), tmp_path)


def test_encrypted_entries_are_refused(tmp_path):
    data = bytearray(archive([("a.jpg", b"1")]).getvalue())
    central = data.index(b"PK\1\2")
    struct.pack_into("<H", data, central + 8, 1)
    with pytest.raises(InputError, match="encrypted"):
        unpack(zipfile.ZipFile(io.BytesIO(bytes(data))), tmp_path)


def test_a_bomb_is_stopped_while_it_inflates(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FREE_RATIO_BYTES", 1 << 20)
    buffer = archive([("a.jpg", b"\0" * (30 << 20))], zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="inflates to more than"):
        unpack(opened(buffer), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 9 << 20


def test_entries_that_share_bytes_are_refused(tmp_path):
    data = bytearray(archive([("a.jpg", b"1" * 100), ("b.jpg", b"2" * 100)]).getvalue())
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    struct.pack_into("<I", data, second + 42, 0)
    with pytest.raises(InputError, match="overlaps"):
        unpack(zipfile.ZipFile(io.BytesIO(bytes(data))), tmp_path)


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    with pytest.raises(InputError, match="at most 2"):
        unpack(opened(archive([(f"{i}.jpg", b"1") for i in range(3)])), tmp_path)


def test_a_damaged_entry_is_named(tmp_path):
    data = bytearray(archive([("a.jpg", b"1" * 100)], zipfile.ZIP_DEFLATED).getvalue())
    data[40] ^= 0xFF
    with pytest.raises(InputError, match=r"'a\.jpg' is damaged"):
        unpack(zipfile.ZipFile(io.BytesIO(bytes(data))), tmp_path)
