"""One file over HTTP, whole or not at all."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

from reconflow.errors import WeightsError
from reconflow.nets.file_lock import taking_turns

Progress = Callable[[int, int], None]
"""Hears bytes done and bytes in all; the latter is 0 where the server does not say."""

_BLOCK = 1 << 20


def ignore_progress(done: int, total: int) -> None:
    """Hear nothing."""


def download(
    url: str, path: Path, *, sha256: str = "", on_progress: Progress = ignore_progress, timeout_s: float = 20.0
) -> Path:
    """Fetch ``url`` into ``path``, which exists only when all of it has arrived and its digest is right.

    The digest stands beside it, in a file that ``sha256sum --check`` reads. What ``on_progress`` raises ends the
    download and leaves nothing behind. Of several threads and processes of a machine one fetches and the others wait
    for what it gets, and hear that nothing is done yet; a file that is here is not fetched again.

    Raises
    ------
    WeightsError
        If the server cannot be reached, refuses, breaks off, or sends other bytes.

    """
    partial = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with taking_turns(path.with_name(f".{path.name}.lock"), waiting=lambda: on_progress(0, 0)):
            if path.exists():
                return path
            digest = _fetch(url, partial, on_progress, timeout_s)
            if sha256 and digest != sha256:
                raise WeightsError(f"{url} sent other bytes than expected, SHA-256 {digest[:12]}…")
            record_of(path).write_text(f"{digest}  {path.name}\n", encoding="utf-8")
            partial.replace(path)
    except urllib.error.HTTPError as error:
        error.close()
        raise WeightsError(f"{url} answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise WeightsError(f"{url} cannot be reached: {error.reason}") from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise WeightsError(f"{url} broke off: {error or type(error).__name__}") from error
    except OSError as error:
        raise WeightsError(f"{path.parent} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def record_of(path: Path) -> Path:
    """Return where the digest of a fetched file is kept."""
    return path.with_name(f"{path.name}.sha256")


def _fetch(url: str, partial: Path, on_progress: Progress, timeout_s: float) -> str:
    if not url.startswith(("https://", "http://")):
        raise WeightsError(f"{url} is no web address")
    request = urllib.request.Request(url, headers={"User-Agent": "reconflow"})  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=timeout_s) as response, partial.open("wb") as file:  # noqa: S310
        total = int(response.headers.get("Content-Length") or 0)
        digest, done = _copy(response, file, total, on_progress)
        file.flush()
        os.fsync(file.fileno())
    if total and done != total:
        raise WeightsError(f"{url} broke off after {done} of {total} bytes")
    return digest


def _copy(response: http.client.HTTPResponse, file: IO[bytes], total: int, on_progress: Progress) -> tuple[str, int]:
    digest = hashlib.sha256()
    done = 0
    while block := _next(response):
        digest.update(block)
        file.write(block)
        done += len(block)
        on_progress(done, total)
    return digest.hexdigest(), done


def _next(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_BLOCK)
    except OSError as error:  # of the line, of whatever kind: others are the disk's
        raise ConnectionError(error) from error
