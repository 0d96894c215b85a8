"""How the service is doing, for its administrators."""

import shutil
import time

from litestar import get
from litestar.di import NamedDependency

import reconflow
from reconflow.jobs.service import JobService
from webapp.errors import problems
from webapp.guards import administrators_only
from webapp.replies import StatusReply

_HEARD_OF_S = 15


@get("/admin/status", guards=[administrators_only], tags=["service"], responses=problems(403), sync_to_thread=True)
def status(service: NamedDependency[JobService]) -> StatusReply:
    """Return workers, queue and disk."""
    counts = service.ledger.counts()
    disk = shutil.disk_usage(service.settings.data_dir)
    return StatusReply(
        version=reconflow.__version__,
        runners=service.ledger.runners(seen_since=time.time() - _HEARD_OF_S),
        stages=counts.stages,
        oldest_queued_s=counts.oldest_queued_s,
        free_bytes=disk.free,
        total_bytes=disk.total,
    )
