"""Is it up, is it ready, and how is it doing?"""

import time

from litestar import Response, get
from litestar.di import NamedDependency

import reconflow
from reconflow.jobs.service import JobService
from webapp.errors import problems
from webapp.guards import PUBLIC
from webapp.metrics import CONTENT_TYPE, Metrics
from webapp.replies import HealthReply, ReadyReply


@get("/health", opt=PUBLIC, tags=["service"])
async def health() -> HealthReply:
    """Say that the web process answers; nothing is asked of anybody."""
    return HealthReply(version=reconflow.__version__, timestamp=time.time())


@get("/ready", opt=PUBLIC, tags=["service"], responses=problems(503), sync_to_thread=True)
def ready(service: NamedDependency[JobService]) -> ReadyReply:
    """Say what the workers compute on; 503 while none is up."""
    return ReadyReply(device=service.device())


@get("/metrics", opt=PUBLIC, tags=["service"], media_type="text/plain", sync_to_thread=True)
def metrics(metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """Return the metrics for Prometheus."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE)
