"""Atomic publishing: a name that exists is complete."""

import os
import shutil
import socket
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from reconflow.errors import DiskFullError, OutputError, is_disk_full

_PREFIX = ".partial"
_CLOCKS_DIFFER_S = 5.0
"""That of a file server may be behind ours."""


@contextmanager
def publishing(path: str | os.PathLike[str]) -> Generator[Path]:
    """Give a temporary name beside ``path`` to write a file or a folder at, and rename it when the block succeeds.

    A block that raises leaves nothing behind. A file replaces an older one of the name; where a folder of the name
    is there already, the new one is dropped: publishers of the same key made the same content. A name the block
    wrote nothing to is an error of the caller and raises :class:`FileNotFoundError`.
    """
    path = Path(path)
    partial = path.with_name(f"{_PREFIX}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        for item in [partial, *partial.rglob("*")]:
            _sync(item)
        _rename(partial, path)
        _sync(path.parent)
    except PermissionError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path) from error
        raise
    finally:
        _remove(partial)


def disk_full(path: Path) -> DiskFullError:
    """Return what is told of a place that has no room."""
    return DiskFullError(f"the disk of {path} is full: free some space, then try again")


def sweep_partials(folder: Path) -> int:
    """Remove what writers that died on this host left below ``folder``; return how many names that were."""
    swept = 0
    for partial in sorted(folder.rglob(f"{_PREFIX}-{socket.gethostname()}-*")):
        pid = partial.name.removeprefix(f"{_PREFIX}-{socket.gethostname()}-").partition("-")[0]
        if pid.isdigit() and not _is_by(int(pid), partial):
            _remove(partial)
            swept += 1
    return swept


def sweep_old_partials(folder: Path, *, age_s: float) -> int:
    """Remove what no host has written to for ``age_s`` directly in ``folder``; return how many names that were."""
    swept = 0
    for partial in sorted(folder.glob(f"{_PREFIX}-*")):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < time.time() - age_s:
                _remove(partial)
                swept += 1
    return swept


def _rename(partial: Path, path: Path) -> None:
    try:
        partial.replace(path)
    except OSError:
        if not (partial.is_dir() and path.is_dir()):
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()


def _is_by(pid: int, partial: Path) -> bool:
    """Return whether the process that has this number now may have written ``partial``.

    Numbers are used again, in containers at once: a process that began after the last write is another one.
    """
    try:
        return psutil.Process(pid).create_time() <= partial.stat().st_mtime + _CLOCKS_DIFFER_S
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True
