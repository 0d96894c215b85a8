"""What a job made, as files."""

from typing import Any, Literal

from anyio import to_thread
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from reconflow.jobs.service import JobService
from webapp.errors import problems
from webapp.guards import LINKABLE
from webapp.ranges import IN_PARTS, PART, file_response
from webapp.replies import LinksReply
from webapp.tokens import Access, encode_link

Asked = Request[Any, Access, Any]
Service = NamedDependency[JobService]
_LINK_LIVES_S = 600


@post("/jobs/{job_id:str}/links", status_code=200, tags=["results"], responses=problems(404), sync_to_thread=True)
def links(job_id: FromPath[str], request: Asked, service: Service) -> LinksReply:
    """Return a token for links a browser can follow by itself: ``GET /download/jobs/{job_id}…?link=TOKEN``.

    It is good for a few minutes, for reading, and for what this one job made.
    """
    service.job(request.auth.user, job_id)
    secret = request.app.state.jwt_secret
    token = encode_link(request.auth.user, job_id, secret=secret, lifetime_s=_LINK_LIVES_S)
    return LinksReply(link=token, expires_in=_LINK_LIVES_S)


@get(
    "/download/jobs/{job_id:str}",
    opt=LINKABLE | {"described": IN_PARTS},
    tags=["results"],
    responses=problems(404, 409, 416) | PART,
    media_type="application/zip",
)
async def plys(job_id: FromPath[str], request: Asked, service: Service) -> Response[Any]:
    """Return all PLY files of the job as a ZIP."""
    path = await to_thread.run_sync(lambda: service.result(request.auth.user, job_id).zip_of_plys())
    return await file_response(request, path, media_type="application/zip", filename=f"{job_id}.zip")


@get(
    "/download/jobs/{job_id:str}/csv",
    opt=LINKABLE,
    tags=["results"],
    responses=problems(404, 409),
    media_type="text/csv",
    sync_to_thread=True,
)
def csv(
    job_id: FromPath[str],
    request: Asked,
    service: Service,
    format: FromQuery[Literal["imc2025", "kaggle"]] = "imc2025",  # noqa: A002 - the contract's name
) -> Response[bytes]:
    """Return the poses as an IMC2025 submission; ``format=kaggle`` adds the ``image_id`` column."""
    content = service.result(request.auth.user, job_id).csv(kaggle=format == "kaggle")
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.csv"'}
    return Response(content, media_type="text/csv", headers=headers)


@get(
    "/download/jobs/{job_id:str}/models",
    opt=LINKABLE | {"described": IN_PARTS},
    tags=["results"],
    responses=problems(404, 409, 416) | PART,
    media_type="application/zip",
)
async def models(job_id: FromPath[str], request: Asked, service: Service) -> Response[Any]:
    """Return the COLMAP models as a ZIP."""
    path = await to_thread.run_sync(lambda: service.result(request.auth.user, job_id).zip_of_models())
    return await file_response(request, path, media_type="application/zip", filename=f"{job_id}-models.zip")


@get(
    "/download/jobs/{job_id:str}/report",
    opt=LINKABLE,
    tags=["results"],
    responses=problems(404, 409),
    media_type="text/html",
    sync_to_thread=True,
)
def report(job_id: FromPath[str], request: Asked, service: Service) -> Response[Any]:
    """Return the self-contained report page."""
    path = service.result(request.auth.user, job_id).report()
    return Response(path.read_bytes(), media_type="text/html; charset=utf-8")


@get(
    "/download/jobs/{job_id:str}/transforms/{cluster:str}",
    opt=LINKABLE,
    tags=["results"],
    responses=problems(404, 409),
    sync_to_thread=True,
)
def transforms(job_id: FromPath[str], cluster: FromPath[str], request: Asked, service: Service) -> dict[str, Any]:
    """Return nerfstudio's ``transforms.json`` of one model."""
    return service.result(request.auth.user, job_id).transforms(cluster)


@get(
    "/download/jobs/{job_id:str}/{filename:str}",
    opt=LINKABLE | {"described": IN_PARTS},
    tags=["results"],
    responses=problems(404, 409, 416) | PART,
    media_type="application/octet-stream",
)
async def ply(job_id: FromPath[str], filename: FromPath[str], request: Asked, service: Service) -> Response[Any]:
    """Return one PLY file."""
    path = await to_thread.run_sync(lambda: service.result(request.auth.user, job_id).ply(filename))
    return await file_response(request, path, media_type="application/octet-stream", filename=path.name)
