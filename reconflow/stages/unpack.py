"""ZIP → photos on disk, refusing what a ZIP of photos has no reason to hold."""

import io
import lzma
import os
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from reconflow.core.images import IMAGE_SUFFIXES
from reconflow.errors import DiskFullError, InputError, NoImagesError

MAX_ENTRIES = 100_000
MAX_FILE_BYTES = 1 << 30
MAX_TOTAL_BYTES = 200 << 30
MAX_RATIO = 200
"""Inflated over stored size; photos hardly compress, so a hundredfold is a bomb."""

_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"})
_BLOCK = 1 << 20
_FREE_RATIO_BYTES = 16 << 20
_MAX_DIRECTORY_BYTES = 32 << 20
"""Of the ZIP's list of entries, which is read whole."""
_LOOK_EVERY = 64
"""Blocks between two looks at the disk's free space."""


@contextmanager
def opened_archive(path: Path) -> Generator[zipfile.ZipFile]:
    """Open a ZIP whose directory is of a sane size, and its names what it says they are.

    Raises
    ------
    InputError
        If it is not.

    """
    with _Sips(path.open("rb", buffering=0)) as file:
        try:
            archive = zipfile.ZipFile(file)
        except UnicodeDecodeError as error:
            raise InputError("a name in the ZIP is not the UTF-8 it claims to be: pack the photos again") from error
        with archive:
            yield archive


class _Sips(io.BufferedReader):
    """A file that nobody reads in large pieces, as zipfile does with whatever size a directory claims to have."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY_BYTES:
            raise InputError(f"the ZIP's list of entries is larger than {_MAX_DIRECTORY_BYTES >> 20} MB")
        return super().read(size)


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
    name, times = Counter(e.filename for e in photos).most_common(1)[0]
    if times > 1:
        raise InputError(f"the ZIP holds {name} twice")
    return photos


def unpack(
    archive: zipfile.ZipFile, folder: Path, *, reserve_bytes: int = 0, check: Callable[[], None] = lambda: None
) -> list[tuple[str, Path]]:
    """Write the photos of ``archive`` into ``folder`` under neutral names.

    ``check`` is called before each megabyte, and may raise to end it.

    Returns
    -------
    list of (str, Path)
        The name in the ZIP, which every output uses, and the file on disk.

    Raises
    ------
    InputError
        If the archive inflates to more than photos do.
    DiskFullError
        If less than ``reserve_bytes`` of the disk would stay free.

    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = photo_entries(archive)
    room = _Room(entries, folder, reserve_bytes)
    written: list[tuple[str, Path]] = []
    for number, entry in enumerate(entries):
        path = folder / f"{number:06d}{PurePosixPath(entry.filename).suffix.lower()}"
        _inflate(archive, entry, path, room, check)
        written.append((entry.filename, path))
    return written


class _Room:
    """What an archive as a whole may inflate to; first by what its headers say, then by what comes, as they may lie."""

    def __init__(self, entries: list[zipfile.ZipInfo], folder: Path, reserve_bytes: int):
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._limit = min(MAX_TOTAL_BYTES, _allowance(sum(entry.compress_size for entry in entries)))
        self._taken = self._blocks = 0
        declared = sum(entry.file_size for entry in entries)
        self._check_limit(declared)
        self._check_disk(declared)

    def take(self, size: int) -> None:
        """Count a block before it is written."""
        self._taken += size
        self._blocks += 1
        self._check_limit(self._taken)
        if self._blocks % _LOOK_EVERY == 0:
            self._check_disk(0)

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise InputError(f"the ZIP inflates to more than {self._limit >> 20} MB")

    def _check_disk(self, size: int) -> None:
        missing = size + self._reserve_bytes - shutil.disk_usage(self._folder).free
        if missing > 0:
            raise DiskFullError(
                f"{missing / 1e6:,.0f} MB of disk space are missing to unpack the photos: delete old jobs, or try later"
            )


def _allowance(stored_bytes: int) -> int:
    """Return how many bytes so many stored ones may inflate to."""
    return max(_FREE_RATIO_BYTES, MAX_RATIO * stored_bytes)


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


def _inflate(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, room: _Room, check: Callable[[], None]
) -> None:
    """Write one entry, counting while inflating, because headers may lie about sizes."""
    limit = min(MAX_FILE_BYTES, _allowance(entry.compress_size))
    size = 0
    try:
        with archive.open(entry) as source, path.open("wb") as target:
            while block := source.read(_BLOCK):
                check()
                size += len(block)
                if size > limit:
                    raise InputError(f"the ZIP entry {entry.filename!r} inflates to more than {limit >> 20} MB")
                room.take(len(block))
                target.write(block)
            os.fsync(target.fileno())
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"the ZIP entry {entry.filename!r} is damaged: {error}") from error
