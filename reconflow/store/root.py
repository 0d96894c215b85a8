"""The place a store lives at: a local folder, or any URL that fsspec understands."""

import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import fsspec
import msgspec

from reconflow.core.cache import user_cache
from reconflow.errors import StoreError
from reconflow.store.keys import fingerprint
from reconflow.store.publish import publishing

SCHEMA = 2
"""Number of the layout below a root; another number is refused on opening, never guessed at."""

_MARKER = "reconflow-store.json"


class Root(Protocol):
    """Named, immutable files: they are published whole and never change."""

    url: str

    def names(self, folder: str) -> list[str]:
        """Return the complete names directly below ``folder``, sorted; none where the folder is missing."""
        ...

    def publishing(self, name: str) -> AbstractContextManager[Path]:
        """Give a local path to write to; when the block succeeds, its bytes appear as ``name``, whole."""
        ...

    def local(self, name: str) -> Path:
        """Return a local path that holds ``name``'s bytes."""
        ...

    def read(self, name: str) -> bytes:
        """Return ``name``'s bytes as they are now: a store can be removed, and made anew at the same place."""
        ...


class LocalRoot:
    """A folder on this machine, or on a file system that all workers share."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.url = str(self.path)

    def names(self, folder: str) -> list[str]:
        """Return the complete names directly below ``folder``, sorted."""
        try:
            return sorted(p.name for p in (self.path / folder).iterdir() if not p.name.startswith("."))
        except FileNotFoundError:
            return []

    def publishing(self, name: str) -> AbstractContextManager[Path]:
        """Give a temporary name beside the target, renamed when the block succeeds."""
        return publishing(self.path / name)

    def local(self, name: str) -> Path:
        """Return the file's own path."""
        return self.path / name

    def read(self, name: str) -> bytes:
        """Return the file's bytes."""
        return self.local(name).read_bytes()


class RemoteRoot:
    """An object store behind fsspec. A put is atomic there; reads go through a cache on the user's local disk."""

    def __init__(self, url: str):
        self.url = url
        self._files, self._base = fsspec.core.url_to_fs(url)
        self._cache = LocalRoot(user_cache() / "stores" / fingerprint(url)[:32])

    def names(self, folder: str) -> list[str]:
        """Return the complete names directly below ``folder``, sorted."""
        try:
            found = self._files.ls(f"{self._base}/{folder}", detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    @contextmanager
    def publishing(self, name: str) -> Generator[Path]:
        """Give a local temporary file, uploaded in one put when the block succeeds."""
        target = f"{self._base}/{name}"
        with tempfile.TemporaryDirectory(prefix="reconflow-") as scratch:
            path = Path(scratch) / "upload"
            yield path
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), target)

    def local(self, name: str) -> Path:
        """Return the cached copy, fetching it on first use."""
        path = self._cache.local(name)
        if not path.exists():
            with publishing(path) as partial:
                self._files.get_file(f"{self._base}/{name}", str(partial))
        return path

    def read(self, name: str) -> bytes:
        """Return what the object store holds, whatever the cache does."""
        return self._files.cat_file(f"{self._base}/{name}")


def open_root(url: str | Path) -> Root:
    """Open the store at a path or URL, making it where there is none.

    Raises
    ------
    StoreError
        If what is there was written with another schema number.

    """
    remote = "://" in str(url) and not str(url).startswith("file://")
    root: Root = RemoteRoot(str(url)) if remote else LocalRoot(Path(str(url).removeprefix("file://")))
    schema = _schema_of(root)
    if schema is None:
        with root.publishing(_MARKER) as marker:
            marker.write_bytes(msgspec.json.encode({"schema": SCHEMA}))
    elif schema != SCHEMA:
        raise StoreError(
            f"the store at {root.url} has schema {schema!r} and this reconflow reads {SCHEMA}: "
            "use another --store, or the reconflow version that wrote it"
        )
    return root


def _schema_of(root: Root) -> object:
    """Return the schema number found, or ``None`` where there is no store yet."""
    if _MARKER not in root.names(""):
        return None
    with suppress(msgspec.DecodeError):
        content = msgspec.json.decode(root.read(_MARKER))
        return content.get("schema", "unknown") if isinstance(content, dict) else "unknown"
    return "unknown"
