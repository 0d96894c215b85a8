"""Resumable uploads: the tus 1.0 protocol, and the job at its end."""

from typing import Any

from anyio import to_thread
from litestar import Request, Response, delete, head, patch, post, route
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath

from reconflow.jobs.pieces import PieceWriter
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import ServiceSettings
from webapp import tus
from webapp.bodies import received
from webapp.description import Described, count, text
from webapp.errors import problems
from webapp.guards import PUBLIC
from webapp.lanes import Lanes
from webapp.metrics import Metrics
from webapp.replies import UploadReply
from webapp.tokens import Access

Asked = Request[Any, Access, Any]
Service = NamedDependency[JobService]

_VERSION = {"Tus-Resumable": text("Needed: the version of the protocol", enum=[tus.VERSION])}
_METADATA = "`dataset_name eWFyZA==,scene_name bm9ydGg=`: known names and values in base64, with commas between"
_CHECKSUM = {"Upload-Checksum": text("Of the piece: `sha1` or `sha256`, a space, and the digest in base64")}
_BODY: dict[str, Any] = {"body": {tus.PIECE: text(format="binary")}}
_ANSWER = [
    ResponseHeader("Upload-Offset", documentation_only=True, description="Bytes that have come"),
    ResponseHeader("Upload-Expires", documentation_only=True, description="Until when it may go on"),
]
_LOCATION = ResponseHeader("Location", documentation_only=True, description="Where the pieces go")


@route(["/uploads", "/uploads/{upload_id:str}"], http_method=["OPTIONS"], opt=PUBLIC, status_code=204, tags=["uploads"])
async def capabilities(settings: NamedDependency[ServiceSettings]) -> Response[None]:
    """Say which version and extensions of tus are spoken, and how large an upload may be."""
    return Response(None, status_code=204, headers=tus.capabilities(settings.max_upload_bytes))


@post(
    "/uploads",
    status_code=201,
    tags=["uploads"],
    responses=problems(412, 413, 415, 423, 460, 507),
    response_headers=[_LOCATION, *_ANSWER],
    opt={
        "described": Described(
            headers=_VERSION
            | {"Upload-Length": count("Needed: of the whole upload"), "Upload-Metadata": text(_METADATA)}
            | _CHECKSUM,
            body_needed=False,
            **_BODY,
        )
    },
    request_max_body_size=None,  # streamed to disk, with a limit of its own
)
async def create(request: Asked, service: Service, metrics: NamedDependency[Metrics]) -> Response[None]:
    """Begin an upload of ``Upload-Length`` bytes; ``Location`` says where its pieces go.

    ``Upload-Metadata`` may hold ``filename``, ``dataset_name``, ``scene_name``, ``options``, ``idempotency_key`` and
    ``webhook_url``, each in base64. A first piece may be the body.
    """
    tus.require_version(request)
    length = tus.number(request, "Upload-Length")
    metadata = request.headers.get("upload-metadata", "")
    with_piece = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if with_piece:
        tus.require_piece(request)
    checksum = tus.checksum(request)
    owner = request.auth.user
    upload = await to_thread.run_sync(
        lambda: service.begin_upload(owner, length=length, metadata=metadata, form=tus.form(metadata))
    )
    if with_piece:
        writer = await to_thread.run_sync(
            lambda: service.uploads.writer(owner.user_id, upload.upload_id, offset=0, checksum=checksum)
        )
        await _append(request, writer, metrics)
    now = await to_thread.run_sync(lambda: service.uploads.get(owner.user_id, upload.upload_id))
    headers = {"Location": f"{tus.PREFIX}/{upload.upload_id}", **tus.progress(now)}
    return Response(None, status_code=201, headers=headers)


@head(
    "/uploads/{upload_id:str}",
    tags=["uploads"],
    responses=problems(404, 410, 412),
    response_headers=_ANSWER,
    opt={"described": Described(headers=_VERSION)},
)
async def status(upload_id: FromPath[str], request: Asked, service: Service) -> Response[None]:
    """Say how many bytes have come."""
    tus.require_version(request)
    upload = await to_thread.run_sync(lambda: service.uploads.get(request.auth.user.user_id, upload_id))
    headers = {"Upload-Length": str(upload.about.length), **tus.progress(upload)}
    if upload.about.metadata:
        headers["Upload-Metadata"] = upload.about.metadata
    return Response(None, headers=headers)


@patch(
    "/uploads/{upload_id:str}",
    status_code=204,
    tags=["uploads"],
    responses=problems(404, 409, 410, 412, 413, 415, 423, 460, 507),
    response_headers=_ANSWER,
    opt={
        "described": Described(
            headers=_VERSION | {"Upload-Offset": count("Needed: bytes that have come")} | _CHECKSUM, **_BODY
        )
    },
    request_max_body_size=None,  # streamed to disk, with a limit of its own
)
async def append(
    upload_id: FromPath[str], request: Asked, service: Service, metrics: NamedDependency[Metrics]
) -> Response[None]:
    """Append a piece at ``Upload-Offset``. What came before a lost connection is kept, unless it has a checksum."""
    tus.require_version(request)
    tus.require_piece(request)
    offset, checksum = tus.number(request, "Upload-Offset"), tus.checksum(request)
    owner_id = request.auth.user.user_id
    writer = await to_thread.run_sync(
        lambda: service.uploads.writer(owner_id, upload_id, offset=offset, checksum=checksum)
    )
    await _append(request, writer, metrics)
    now = await to_thread.run_sync(lambda: service.uploads.get(owner_id, upload_id))
    return Response(None, status_code=204, headers=tus.progress(now))


@delete(
    "/uploads/{upload_id:str}",
    status_code=204,
    tags=["uploads"],
    responses=problems(404, 412, 423),
    opt={"described": Described(headers=_VERSION)},
)
async def terminate(upload_id: FromPath[str], request: Asked, service: Service) -> None:
    """Drop an upload; a job that was made of it stays."""
    tus.require_version(request)
    await to_thread.run_sync(lambda: service.uploads.delete(request.auth.user.user_id, upload_id))


@post(
    "/uploads/{upload_id:str}/job", status_code=202, tags=["uploads"], responses=problems(404, 409, 410, 413, 423, 507)
)
async def make_job(
    upload_id: FromPath[str], request: Asked, service: Service, lanes: NamedDependency[Lanes]
) -> UploadReply:
    """Queue a job for an upload of which all bytes have come; asking again gives the same job."""
    user = request.auth.user
    job_id = await to_thread.run_sync(lambda: service.end_upload(user, upload_id), limiter=lanes.looks)
    return UploadReply(job_id=job_id)


async def _append(request: Asked, writer: PieceWriter, metrics: Metrics) -> None:
    begun_at = writer.offset
    try:
        writer.expect(int(request.headers.get("content-length") or 0))
        async for block in received(request):
            await to_thread.run_sync(writer.write, block)
        await to_thread.run_sync(writer.finish)
    finally:
        metrics.upload_bytes.inc(writer.offset - begun_at)
        await to_thread.run_sync(writer.close)  # in a thread: it waits for the disk
