"""Atomic publishing: a name that exists is complete."""

import os
import shutil
import socket
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconflow.errors import OutputError

_PREFIX = ".partial"


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
    finally:
        _remove(partial)


def sweep_partials(folder: Path) -> int:
    """Remove what writers that died on this host left below ``folder``; return how many names that were."""
    swept = 0
    for partial in sorted(folder.rglob(f"{_PREFIX}-{socket.gethostname()}-*")):
        pid = partial.name.removeprefix(f"{_PREFIX}-{socket.gethostname()}-").partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
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


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
