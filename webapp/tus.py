"""The words of tus 1.0, the protocol of resumable uploads (https://tus.io): its headers, read and written."""

import base64
import binascii
from email.utils import formatdate
from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from reconflow.errors import InputError
from reconflow.jobs.forms import UploadForm
from reconflow.jobs.pieces import ALGORITHMS, Checksum
from reconflow.jobs.uploads import Upload

VERSION = "1.0.0"
PREFIX = "/uploads"
PIECE = "application/offset+octet-stream"
_EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
_LONGEST_NUMBER = 18
_FIELDS = frozenset({"dataset_name", "scene_name", "options", "idempotency_key", "webhook_url"})
_PASSED_OVER = frozenset({"filename", "filetype", "name", "type", "relativePath"})
"""What clients commonly say of a file."""
_TUNNELLED = ("PATCH", "DELETE", "HEAD")


def capabilities(max_size: int) -> dict[str, str]:
    """Return what ``OPTIONS`` tells."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": _EXTENSIONS,
        "Tus-Max-Size": str(max_size),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def progress(upload: Upload) -> dict[str, str]:
    """Return how far an upload is, and until when it may go on."""
    return {"Upload-Offset": str(upload.offset), "Upload-Expires": formatdate(upload.expires_at, usegmt=True)}


def require_version(request: "Request[Any, Any, Any]") -> None:
    """Answer 412 to a client of another version."""
    if request.headers.get("tus-resumable") != VERSION:
        raise HTTPException(
            f"send the header `Tus-Resumable: {VERSION}`", status_code=412, headers={"Tus-Version": VERSION}
        )


def require_piece(request: "Request[Any, Any, Any]") -> None:
    """Answer 415 to a body that is no piece of an upload."""
    if request.headers.get("content-type") != PIECE:
        raise HTTPException(f"send pieces with the header `Content-Type: {PIECE}`", status_code=415)


def number(request: "Request[Any, Any, Any]", name: str) -> int:
    """Return the value of a header that counts bytes."""
    value = request.headers.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
        raise InputError(f"the header {name} must be a number of bytes")
    return int(value)


def checksum(request: "Request[Any, Any, Any]") -> Checksum | None:
    """Return what the body must hash to, where the client says so."""
    value = request.headers.get("upload-checksum")
    return None if value is None else Checksum.parse(value)


def form(metadata: str) -> UploadForm:
    """Return the fields of an ``Upload-Metadata`` header: ``name base64,name base64``.

    >>> form("filename YS56aXA=,dataset_name eWFyZA==").dataset_name
    'yard'
    """
    fields: dict[str, str] = {}
    for pair in filter(None, (piece.strip() for piece in metadata.split(","))):
        name, _, encoded = pair.partition(" ")
        if name in _PASSED_OVER:
            continue
        if name not in _FIELDS:
            raise InputError(f"Upload-Metadata: unknown key {name!r}: known are {', '.join(sorted(_FIELDS))}")
        try:
            fields[name] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InputError(f"Upload-Metadata: the value of {name} must be UTF-8 text in base64") from error
    return UploadForm(**fields)


def honouring_method_override(app: ASGIApp) -> ASGIApp:
    """Return the application, for clients behind proxies that let only GET and POST through."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(f"{PREFIX}/"):
            wanted = dict(scope["headers"]).get(b"x-http-method-override", b"").decode("latin-1")
            if wanted in _TUNNELLED:
                scope["method"] = wanted
        await app(scope, receive, send)

    return answer
