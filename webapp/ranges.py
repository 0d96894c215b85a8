"""Files as answers, in parts where a part is asked for (RFC 9110, one range)."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from webapp.description import Described, text

IN_PARTS = Described(headers={"Range": text("One range, such as `bytes=0-999`")})
PART = {206: ResponseSpec(bytes, description="The part asked for", media_type="application/octet-stream")}
"""What routes that answer with :func:`file_response` say of themselves."""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
"""Longer numbers are no place in a file, and a range that cannot be read is passed over."""
_BLOCK = 1 << 18


async def file_response(
    request: "Request[Any, Any, Any]", path: Path, *, media_type: str, filename: str
) -> Response[Any]:
    """Return a download of a file, the whole of it or the range that is asked for."""
    status = path.stat()
    size, tag = status.st_size, f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Disposition": f'attachment; filename="{filename}"',
    }
    span = _span(request.headers.get("range"), request.headers.get("if-range"), tag, size)
    if span is None:
        headers["Content-Range"] = f"bytes */{size}"
        return Response(
            {"detail": f"the file has {size} bytes"}, status_code=416, headers=headers, media_type="application/json"
        )
    first, last = span
    headers["Content-Length"] = str(last - first + 1)
    part = (first, last) != (0, size - 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Stream(_blocks(path, first, last), status_code=206 if part else 200, headers=headers, media_type=media_type)


def _span(asked: str | None, if_range: str | None, tag: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte to send; ``None`` where what is asked for lies beyond the file.

    >>> _span("bytes=10-", None, "", 100), _span("bytes=-10", None, "", 100), _span("bytes=100-", None, "", 100)
    ((10, 99), (90, 99), None)
    """
    whole = (0, size - 1)
    match = _RANGE.fullmatch(asked or "")
    if match is None or (if_range is not None and if_range != tag) or match.groups() == ("", ""):
        return whole
    start, end = match.groups()
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    if start and end and int(end) < int(start):
        return whole
    return (first, last) if first < size else None


async def _blocks(path: Path, first: int, last: int) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(first)
        left = last - first + 1
        while left > 0 and (block := await file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
