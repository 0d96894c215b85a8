"""Drift of photos, and retraining."""

from typing import Any

from anyio import to_thread
from litestar import Request, post
from litestar.di import NamedDependency

from reconflow.core.drift import DriftReport
from reconflow.jobs.service import JobService
from webapp.controllers.jobs import UPLOAD_FORM
from webapp.description import Described
from webapp.errors import problems
from webapp.guards import administrators_only
from webapp.lanes import Lanes
from webapp.multipart import receive_form
from webapp.replies import TriggerReply
from webapp.tokens import Access

Asked = Request[Any, Access, Any]
Service = NamedDependency[JobService]


@post(
    "/drift",
    status_code=200,
    tags=["drift"],
    responses=problems(413, 507),
    opt={"described": Described(body={"multipart/form-data": UPLOAD_FORM})},
    request_max_body_size=None,  # streamed to disk, with a limit of its own
)
async def check(request: Asked, service: Service, lanes: NamedDependency[Lanes]) -> DriftReport:
    """Say how unlike the baseline the photos of a ZIP look; starts no job."""
    form = await receive_form(
        request,
        path=service.incoming_path(),
        limit=service.settings.max_upload_bytes,
        require_space=service.require_space,
    )
    return await to_thread.run_sync(lambda: service.check_drift(form.upload), limiter=lanes.looks)


@post(
    "/drift/trigger-retrain",
    status_code=200,
    guards=[administrators_only],
    tags=["drift"],
    responses=problems(403, 502),
    sync_to_thread=True,
)
def trigger_retrain(request: Asked, service: Service) -> TriggerReply:
    """Start the retraining pipeline in Airflow."""
    service.trigger_retrain(request.auth.user)
    return TriggerReply()
