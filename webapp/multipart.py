"""Uploads as they arrive: the file goes straight to disk, so memory stays flat whatever is sent."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec
from anyio import to_thread
from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from reconflow.errors import InputError, TooLargeError
from reconflow.jobs.pieces import LOOK_EVERY_BYTES
from webapp.bodies import received

_LONGEST_TEXT = 64 * 1024
_FILE_FIELD = "file"
_FIELDS = frozenset({"dataset_name", "scene_name", "options", "webhook_url"})
_SEGMENTS = 12
_OVERHEAD = 1 << 20
"""What a body may have beyond the file: boundaries, headers and text fields."""


class Form(msgspec.Struct, frozen=True):
    """What a multipart body held: the file is on disk, the rest in memory."""

    upload: Path
    size: int
    fields: dict[str, str]


async def receive_form(
    request: "Request[Any, Any, Any]", *, path: Path, limit: int, require_space: Callable[[int], None]
) -> Form:
    """Stream a multipart body; its field ``file`` is written to ``path``, which is removed where this raises.

    Raises
    ------
    InputError
        If the body is no multipart form, or has no file.
    TooLargeError
        If the file is larger than ``limit`` bytes.
    DiskFullError
        If it does not fit on the disk.

    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise InputError("send the ZIP as multipart/form-data, in the field `file`")
    announced = int(request.headers.get("content-length", "0") or 0)
    if announced > limit + _OVERHEAD:
        raise TooLargeError(f"the upload is larger than {limit >> 20} MB")
    await to_thread.run_sync(require_space, announced)
    try:
        with _Parts(path, limit, require_space) as parts:
            parser = PushMultipartParser(options["boundary"], max_segment_count=_SEGMENTS)
            with parser:
                await _feed(parser, received(request), parts)
            return parts.form()
    except MultipartError as error:
        path.unlink(missing_ok=True)
        raise InputError(f"the multipart form is damaged: {error}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _feed(parser: PushMultipartParser, stream: AsyncIterator[bytes], parts: "_Parts") -> None:
    async for chunk in stream:
        for part in parser.parse(chunk):
            if isinstance(part, MultipartSegment):
                parts.begin(part)
            elif part:
                await to_thread.run_sync(parts.write, bytes(part))


class _Parts:
    """The segments of one form: one goes to disk, the others are short."""

    def __init__(self, path: Path, limit: int, require_space: Callable[[int], None]):
        self._path = path
        self._limit = limit
        self._require_space = require_space
        self._look_at = LOOK_EVERY_BYTES
        self._file: BinaryIO | None = None
        self._name = ""
        self._size = 0
        self._fields: dict[str, bytearray] = {}

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def begin(self, segment: MultipartSegment) -> None:
        """Note which field follows."""
        self._name = str(segment.name)
        if self._name == _FILE_FIELD:
            if self._file is not None:
                raise InputError("send one file, not several")
            self._file = self._path.open("wb")
        elif self._name in _FIELDS:
            self._fields[self._name] = bytearray()
        else:
            raise InputError(f"unknown field {self._name!r}: known are {', '.join(sorted({_FILE_FIELD, *_FIELDS}))}")

    def write(self, content: bytes) -> None:
        """Take a piece of the field that was begun."""
        if self._name == _FILE_FIELD and self._file is not None:
            self._size += len(content)
            if self._size > self._limit:
                raise TooLargeError(f"the upload is larger than {self._limit >> 20} MB")
            if self._size >= self._look_at:
                self._require_space(self._size)
                self._look_at = self._size + LOOK_EVERY_BYTES
            self._file.write(content)
        else:
            field = self._fields[self._name]
            field += content
            if len(field) > _LONGEST_TEXT:
                raise TooLargeError(f"the field {self._name} is longer than {_LONGEST_TEXT >> 10} KB")

    def form(self) -> Form:
        """Return what came."""
        if self._file is None:
            raise InputError("the form has no field `file`")
        self._file.close()
        try:
            fields = {name: bytes(content).decode() for name, content in self._fields.items()}
        except UnicodeDecodeError as error:
            raise InputError("text fields must be UTF-8") from error
        return Form(self._path, self._size, fields)
