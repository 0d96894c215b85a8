"""ZIP → photos on disk, refusing what a ZIP of photos has no reason to hold."""

import lzma
import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from reconflow.core.images import IMAGE_SUFFIXES
from reconflow.errors import InputError, NoImagesError

MAX_ENTRIES = 100_000
MAX_FILE_BYTES = 1 << 30
MAX_TOTAL_BYTES = 200 << 30
MAX_RATIO = 200
"""Inflated over stored size; photos hardly compress, so a hundredfold is a bomb."""

_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
_BLOCK = 1 << 20
_FREE_RATIO_BYTES = 16 << 20


def photo_entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the entries that are photos, sorted by name, after checking the directory of the whole archive.

    Raises
    ------
    InputError
        If an entry is encrypted, a link, overlaps another, leaves the folder by its name, stands there twice, or if
        there are too many of them.
    NoImagesError
        If no entry is a photo.

    """
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"the ZIP has {len(entries)} entries; at most {MAX_ENTRIES} are taken")
    _check_overlaps(entries)
    for entry in entries:
        _check_entry(entry)
    photos = sorted((e for e in entries if _is_photo(e)), key=lambda e: e.filename)
    if not photos:
        raise NoImagesError(f"the ZIP holds no photo ({', '.join(sorted(IMAGE_SUFFIXES))})")
    names = [e.filename for e in photos]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"the ZIP holds {twice} twice")
    return photos


def unpack(archive: zipfile.ZipFile, folder: Path) -> list[tuple[str, Path]]:
    """Write the photos of ``archive`` into ``folder`` under neutral names.

    Returns
    -------
    list of (str, Path)
        The name in the ZIP, which every output uses, and the file on disk.

    """
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    written: list[tuple[str, Path]] = []
    for number, entry in enumerate(photo_entries(archive)):
        path = folder / f"{number:06d}{PurePosixPath(entry.filename).suffix.lower()}"
        total += _inflate(archive, entry, path, allowed=min(MAX_FILE_BYTES, MAX_TOTAL_BYTES - total))
        written.append((entry.filename, path))
    return written


def _is_photo(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    hidden = "__MACOSX" in path.parts or path.name.startswith(".")
    return not entry.is_dir() and not hidden and path.suffix.lower() in IMAGE_SUFFIXES


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise InputError(f"the ZIP entry {name!r} would leave its folder")
    if entry.flag_bits & 0x1:
        raise InputError(f"the ZIP entry {name!r} is encrypted; pack it without a password")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise InputError(f"the ZIP entry {name!r} is a symbolic link")
    if path.suffix.lower() in _ARCHIVES:
        raise InputError(f"the ZIP entry {name!r} is an archive itself: pack the photos, not archives of them")


def _check_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse entries that share bytes: the same small block inflated a thousand times over."""
    end = -1
    for entry in sorted(entries, key=lambda e: e.header_offset):
        if entry.header_offset < end:
            raise InputError(f"the ZIP entry {entry.filename!r} overlaps another")
        end = entry.header_offset + 30 + entry.compress_size


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, *, allowed: int) -> int:
    """Write one entry, counting while inflating, because headers may lie about sizes."""
    limit = min(allowed, max(_FREE_RATIO_BYTES, MAX_RATIO * entry.compress_size))
    size = 0
    try:
        with archive.open(entry) as source, path.open("wb") as target:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > limit:
                    raise InputError(f"the ZIP entry {entry.filename!r} inflates to more than {limit >> 20} MB")
                target.write(block)
            os.fsync(target.fileno())
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"the ZIP entry {entry.filename!r} is damaged: {error}") from error
    return size
