"""How the service is doing, for its administrators."""

from litestar import get
from litestar.di import NamedDependency

import reconflow
from reconflow.jobs.service import JobService
from webapp.errors import problems
from webapp.guards import administrators_only
from webapp.replies import StatusReply


@get("/admin/status", guards=[administrators_only], tags=["service"], responses=problems(403), sync_to_thread=True)
def status(service: NamedDependency[JobService]) -> StatusReply:
    """Return workers, queue and disk."""
    now = service.status()
    return StatusReply(
        version=reconflow.__version__,
        runners=now.runners,
        stages=now.stages,
        oldest_queued_s=now.oldest_queued_s,
        free_bytes=now.free_bytes,
        total_bytes=now.total_bytes,
    )
