"""Jobs: upload, follow, steer, ask."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from anyio import to_thread
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import ServerSentEvent

from reconflow.errors import InputError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.job_insights import JobInsights
from reconflow.jobs.records import Job
from reconflow.jobs.results import ViewGraph
from reconflow.jobs.service import EVENTS_AT_ONCE, JobService
from reconflow.jobs.states import Stage
from webapp.description import Described, count, text
from webapp.errors import problems
from webapp.guards import LINKABLE
from webapp.lanes import Lanes
from webapp.metrics import Metrics
from webapp.multipart import receive_form
from webapp.ranges import IN_PARTS, PART, file_response
from webapp.replies import (
    ClustersReply,
    EventsReply,
    ImagesReply,
    JobReply,
    JobsReply,
    UploadReply,
    job_reply,
)
from webapp.streams import job_stream
from webapp.tokens import Access

Asked = Request[Any, Access, Any]
Service = NamedDependency[JobService]
Accounts = NamedDependency[AccountBook]
_STREAM = "text/event-stream"


class RetryOptions(msgspec.Struct, frozen=True):
    """New settings for another try."""

    options: dict[str, Any] = {}


UPLOAD_FORM = Schema(
    type="object",  # pyright: ignore[reportArgumentType]
    required=["file"],
    properties={
        "file": text("A ZIP of photos", format="binary"),
        "dataset_name": text(max_length=100),
        "scene_name": text(max_length=100),
        "options": text('JSON as `GET /options` describes it, such as `{"preset": "fast"}`'),
        "webhook_url": text("Told when the job ends"),
    },
)


@post(
    "/upload",
    status_code=202,
    tags=["jobs"],
    responses=problems(413, 507),
    opt={
        "described": Described(
            headers={"Idempotency-Key": text("A second upload under the same key makes no second job", max_length=100)},
            body={"multipart/form-data": UPLOAD_FORM},
        )
    },
    request_max_body_size=None,  # streamed to disk, with a limit of its own
)
async def upload(
    request: Asked, service: Service, metrics: NamedDependency[Metrics], lanes: NamedDependency[Lanes]
) -> UploadReply:
    """Take a ZIP of photos and queue a job for it.

    ``options`` is JSON as ``GET /options`` describes it, such as ``{"preset": "fast"}``. A second upload with the
    same ``Idempotency-Key`` header makes no second job.
    """
    form = await receive_form(
        request,
        path=service.incoming_path(),
        limit=service.settings.max_upload_bytes,
        require_space=service.require_space,
    )
    metrics.upload_bytes.inc(form.size)
    key = request.headers.get("idempotency-key")
    job = await to_thread.run_sync(
        lambda: service.accept_upload(request.auth.user, form.upload, idempotency_key=key, **form.fields),
        limiter=lanes.looks,
    )
    return UploadReply(job_id=job.job_id)


@get("/jobs/{job_id:str}", tags=["jobs"], responses=problems(404), sync_to_thread=True)
def job(job_id: FromPath[str], request: Asked, service: Service, accounts: Accounts) -> JobReply:
    """Return a job."""
    return _told(service.job(request.auth.user, job_id), request, accounts)


@get("/status/{job_id:str}", tags=["jobs"], responses=problems(404), sync_to_thread=True)
def status(job_id: FromPath[str], request: Asked, service: Service, accounts: Accounts) -> JobReply:
    """Return a job, under its older address."""
    return _told(service.job(request.auth.user, job_id), request, accounts)


@get("/jobs", tags=["jobs"], responses=problems(), sync_to_thread=True)
def jobs(
    request: Asked,
    service: Service,
    accounts: Accounts,
    stage: FromQuery[list[Stage] | None] = None,
    dataset: Annotated[str | None, QueryParameter(min_length=1, max_length=100)] = None,
    q: Annotated[str, QueryParameter(max_length=100)] = "",
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> JobsReply:
    """Return your jobs, newest first; administrators see everybody's.

    ``stage`` may stand several times. ``q`` holds words, whole or in part, that stand in the dataset, the scene or the
    id, and for administrators in the owner's name.
    """
    wanted = {"stages": tuple(stage or ()), "dataset": dataset, "search": q}
    page = service.jobs(request.auth.user, cursor=cursor, limit=limit, **wanted)
    return JobsReply(jobs=_owned(page.jobs, request, accounts), next_cursor=page.next_cursor)


@post("/jobs/{job_id:str}/cancel", status_code=200, tags=["jobs"], responses=problems(404, 409), sync_to_thread=True)
def cancel(job_id: FromPath[str], request: Asked, service: Service, accounts: Accounts) -> JobReply:
    """End a job: a waiting one at once, a running one within seconds."""
    return _told(service.cancel(request.auth.user, job_id), request, accounts)


@post("/jobs/{job_id:str}/retry", status_code=200, tags=["jobs"], responses=problems(404, 409), sync_to_thread=True)
def retry(
    job_id: FromPath[str],
    request: Asked,
    service: Service,
    accounts: Accounts,
    data: JSONBody[RetryOptions | None] = None,
) -> JobReply:
    """Queue a failed or cancelled job again, with other options where they are given."""
    again = service.retry(request.auth.user, job_id, options=None if data is None else data.options)
    return _told(again, request, accounts)


@delete("/jobs/{job_id:str}", status_code=204, tags=["jobs"], responses=problems(404, 409), sync_to_thread=True)
def remove(job_id: FromPath[str], request: Asked, service: Service) -> None:
    """Remove a job that does not run, with all its files."""
    service.delete(request.auth.user, job_id)


@get(
    "/jobs/{job_id:str}/events",
    tags=["jobs"],
    responses=problems(404),
    opt={"described": Described(headers={"Last-Event-ID": count("The event heard last")}, also=(_STREAM,))},
)
async def events(
    job_id: FromPath[str], request: Asked, service: Service, after: FromQuery[int | None] = None
) -> Response[Any]:
    """Return the job's log after an event; with ``Accept: text/event-stream``, all of it, and go on as it grows.

    ``Last-Event-ID`` says which event was heard last.
    """
    last = _last_event(request, after)
    user = request.auth.user
    found = await to_thread.run_sync(lambda: service.events(user, job_id, after_id=last))
    if _STREAM not in request.headers.get("accept", ""):
        more = len(found) == EVENTS_AT_ONCE
        return Response(EventsReply(events=found, next_after=found[-1].id if more else None))
    return ServerSentEvent(job_stream(service, user, job_id, after_id=last))


@get("/clusters/{job_id:str}", tags=["results"], responses=problems(404), sync_to_thread=True)
def clusters(job_id: FromPath[str], request: Asked, service: Service) -> ClustersReply:
    """Return the job's models."""
    return ClustersReply(clusters=service.clusters(request.auth.user, job_id))


@get("/jobs/{job_id:str}/insights", tags=["results"], responses=problems(404), sync_to_thread=True)
def insights(job_id: FromPath[str], request: Asked, service: Service) -> JobInsights:
    """Return the job in numbers, its drift, and what to do about it."""
    return service.insights(request.auth.user, job_id)


@get("/jobs/{job_id:str}/images", tags=["results"], responses=problems(404, 409), sync_to_thread=True)
def images(job_id: FromPath[str], request: Asked, service: Service) -> ImagesReply:
    """Return what became of every file of the upload."""
    return ImagesReply(images=service.result(request.auth.user, job_id).images())


@get(
    "/jobs/{job_id:str}/thumbnail",
    opt=LINKABLE,
    tags=["results"],
    responses=problems(404, 409),
    media_type="image/jpeg",
    sync_to_thread=True,
)
def thumbnail(
    job_id: FromPath[str],
    request: Asked,
    service: Service,
    name: FromQuery[str | None] = None,
    size: FromQuery[Literal["small", "large"]] = "small",
) -> Response[bytes]:
    """Return an upright JPEG of one photo: 160 pixels along its long edge, or 640 with ``size=large``.

    Without a ``name`` it is the photo that sees most of the scene.
    """
    content = service.result(request.auth.user, job_id).thumbnail(name, large=size == "large")
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})


@get(
    "/jobs/{job_id:str}/clouds/live",
    opt={"described": Described(headers={"If-None-Match": text("The `ETag` of the points that are known")})},
    tags=["results"],
    responses=problems(404, 409)
    | {
        204: ResponseSpec(None, description="There are no points yet"),
        304: ResponseSpec(None, description="The points are those that are known"),
    },
    media_type="application/octet-stream",
    sync_to_thread=True,
)
def live_cloud(job_id: FromPath[str], request: Asked, service: Service) -> Response[Any]:
    """Return the points that there are while the cameras are being worked out, as other clouds are."""
    content = service.live_cloud(request.auth.user, job_id)
    if content is None:
        return Response(b"", status_code=204)
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(b"", status_code=304, headers=headers)
    return Response(content, media_type="application/octet-stream", headers=headers)


@get(
    "/jobs/{job_id:str}/clouds/{cluster:str}",
    opt={"described": IN_PARTS},
    tags=["results"],
    responses=problems(404, 409, 416) | PART,
    media_type="application/octet-stream",
)
async def cloud(job_id: FromPath[str], cluster: FromPath[str], request: Asked, service: Service) -> Response[Any]:
    """Return at most 500,000 points of a model, such as ``cluster0_model0``, in a compact form for viewers.

    Little-endian: ``RFPC``; uint32 version (1), number of points N, points of the model; N × 3 float32 positions in
    the model's world frame; N × 4 uint8 red, green, blue and number of photos that see the point (255 for more);
    N × float16 reprojection error in pixels. The order is random: any first part is the whole cloud, thinned.
    """
    path = await to_thread.run_sync(lambda: service.result(request.auth.user, job_id).cloud(cluster))
    return await file_response(request, path, media_type="application/octet-stream", filename=path.name)


@get("/jobs/{job_id:str}/view-graph", tags=["results"], responses=problems(404, 409), sync_to_thread=True)
def view_graph(job_id: FromPath[str], request: Asked, service: Service) -> ViewGraph:
    """Return which photos match which: the pairs with a verified two-view geometry, and their inliers."""
    return service.result(request.auth.user, job_id).view_graph()


@get("/jobs/{job_id:str}/cameras", tags=["results"], responses=problems(404, 409), sync_to_thread=True)
def cameras(job_id: FromPath[str], request: Asked, service: Service) -> dict[str, Any]:
    """Return poses (world to camera) and intrinsics of every model."""
    return service.result(request.auth.user, job_id).cameras()


@get("/options", tags=["jobs"], responses=problems(), sync_to_thread=True)
def options(service: Service) -> dict[str, Any]:
    """Return the JSON Schema of the options of a job, the presets, and what jobs start from."""
    return service.options_schema()


def _told(job: Job, request: Asked, accounts: AccountBook) -> JobReply:
    return _owned([job], request, accounts)[0]


def _owned(jobs: Sequence[Job], request: Asked, accounts: AccountBook) -> list[JobReply]:
    """Return jobs as they are told to who asks: administrators hear whose they are."""
    is_admin = request.auth.user.role == "admin"
    names = accounts.names({job.owner_id for job in jobs}) if is_admin else {}
    return [job_reply(job, owner=names.get(job.owner_id)) for job in jobs]


def _last_event(request: Asked, after: int | None) -> int:
    told = request.headers.get("last-event-id")
    try:
        last = after if told is None else int(told)
    except ValueError as error:
        raise InputError("Last-Event-ID must be a number") from error
    if last is not None and not 0 <= last < 2**63:
        raise InputError("the last event must be a number from 0")
    return last or 0
