import io
import itertools
import shutil
import struct
import zipfile

import numpy as np
import pytest

from reconflow.errors import DiskFullError, InputError, NoImagesError
from reconflow.stages import unpack as module
from reconflow.stages.unpack import opened_archive, unpack


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


def test_an_entry_that_is_a_bomb_is_stopped_while_it_inflates(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FREE_RATIO_BYTES", 1 << 20)
    honest = np.random.default_rng(0).bytes(1 << 20)
    buffer = archive([("a.jpg", b"\0" * (30 << 20)), ("b.jpg", honest)], zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=r"'a\.jpg' inflates to more than"):
        unpack(opened(buffer), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 9 << 20


def test_a_bomb_in_many_small_entries_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FREE_RATIO_BYTES", 1 << 20)
    buffer = archive([(f"{i}.jpg", b"\0" * (1 << 20)) for i in range(40)], zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="the ZIP inflates to more than"):
        unpack(opened(buffer), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_lies_about_sizes_lets_nothing_through(tmp_path):
    data = bytearray(archive([("a.jpg", b"\0" * (30 << 20))], zipfile.ZIP_DEFLATED).getvalue())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 1000)
    with pytest.raises(InputError, match="damaged"):
        unpack(zipfile.ZipFile(io.BytesIO(bytes(data))), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_photos_that_do_not_fit_the_disk_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DiskFullError, match="missing to unpack"):
        unpack(opened(archive([("a.jpg", b"1")])), tmp_path, reserve_bytes=shutil.disk_usage(tmp_path).total)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_others_fill_meanwhile_stops_the_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOOK_EVERY", 2)
    usage, looks = shutil.disk_usage(tmp_path), itertools.count()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=(10 << 20) * (next(looks) == 0)))
    with pytest.raises(DiskFullError):
        unpack(opened(archive([(f"{i}.jpg", bytes(1 << 20)) for i in range(8)])), tmp_path, reserve_bytes=1)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_name_that_stands_there_twice_is_told(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        buffer = archive([("a.jpg", b"1"), ("b.jpg", b"2"), ("b.jpg", b"3")])
    with pytest.raises(InputError, match=r"holds b\.jpg twice"):
        unpack(opened(buffer), tmp_path)


def test_a_list_of_entries_of_insane_size_is_not_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        for i in range(600):
            entry = zipfile.ZipInfo(f"{i}.jpg")
            entry.comment = bytes(65_000)
            made.writestr(entry, b"1")
    with pytest.raises(InputError, match="list of entries is larger"), opened_archive(path):
        pass


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


def test_a_name_that_claims_to_be_utf8_and_is_not_is_told(tmp_path):
    content = archive([("café.jpg", b"x")]).getvalue().replace("é".encode(), b"\xe9\xe9")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="not the UTF-8"), opened_archive(tmp_path / "a.zip"):
        pass


def test_a_damaged_entry_is_named(tmp_path):
    data = bytearray(archive([("a.jpg", b"1" * 100)], zipfile.ZIP_DEFLATED).getvalue())
    data[40] ^= 0xFF
    with pytest.raises(InputError, match=r"'a\.jpg' is damaged"):
        unpack(zipfile.ZipFile(io.BytesIO(bytes(data))), tmp_path)
