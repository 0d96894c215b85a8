"""A run's input: a folder of photos, or a ZIP that is unpacked once."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from reconflow.errors import InputError
from reconflow.stages.ingest import list_photos
from reconflow.stages.unpack import opened_archive, photo_entries, unpack
from reconflow.store.keys import fingerprint
from reconflow.store.publish import publishing


def open_photos(
    source: Path, *, unpack_to: Path, reserve_bytes: int = 0, check: Callable[[], None] = lambda: None
) -> list[tuple[str, Path]]:
    """Return the name and path of every photo of a folder or ZIP, sorted by name.

    A ZIP is unpacked below ``unpack_to``, into a folder named after its directory's names, sizes and checksums: the
    same ZIP is unpacked once, whatever it is called. ``reserve_bytes`` of the disk stay free. ``check`` is called
    again and again meanwhile; where it raises, nothing is left.

    Raises
    ------
    InputError
        If there is no such folder or file, it is not a ZIP, or it holds no photo.
    DiskFullError
        If there is no room to unpack it.

    """
    if source.is_dir():
        return list_photos(source)
    if not source.exists():
        raise InputError(f"{source} does not exist")
    try:
        with opened_archive(source) as archive:
            entries = photo_entries(archive)
            content = fingerprint([[e.filename, e.file_size, e.CRC] for e in entries])[:16]
            folder = unpack_to / content
            if not folder.exists():
                with publishing(folder) as partial:
                    unpack(archive, partial, reserve_bytes=reserve_bytes, check=check)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{source} is neither a folder nor a readable ZIP ({error})") from error
    paths = sorted(folder.iterdir())
    return [(entry.filename, path) for entry, path in zip(entries, paths, strict=True)]
