"""The built web page: files of ``webapp/static`` as they go over the wire."""

import gzip
import mimetypes
from functools import lru_cache
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "static"
_PACKED = ("text/", "application/javascript", "application/json", "image/svg+xml")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
"""Said here, because what the system believes of ``.js`` differs."""


class Asset(msgspec.Struct, frozen=True):
    """One file of the page."""

    media_type: str
    content: bytes
    packed: bytes | None
    """The same, gzipped; ``None`` where that gains nothing."""


def page_asset(name: str, *, folder: Path = FOLDER) -> Asset | None:
    """Return a file of the page by its path below ``folder``; ``None`` where there is none of that name."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int) -> Asset:
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    content = path.read_bytes()
    packed = gzip.compress(content, mtime=0) if kind.startswith(_PACKED) else None
    return Asset(kind, content, packed)
