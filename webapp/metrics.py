"""What Prometheus is told. The names are the contract's; our own begin with ``reconflow_``."""

import threading
from contextlib import suppress
from typing import Any

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

import reconflow
from reconflow.jobs.ended_jobs import EndedJob
from reconflow.jobs.records import Job
from reconflow.jobs.service import JobService

CONTENT_TYPE = "text/plain; version=0.0.4"
_LATENCIES_S = (10, 30, 60, 120, 180, 300, 600, 900)
_METHODS: tuple[Any, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""All others share a label: anybody could make up any number of them."""
_STAGES_S = (1, 5, 15, 60, 180, 600, 1800, 7200)


class Metrics:
    """The metrics of one application. Finished jobs are counted when somebody looks, from the ledger."""

    def __init__(self, service: JobService):
        self._service = service
        self._lock = threading.Lock()
        self._ended = service.ended_jobs()
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("api_requests_total", "Answers", ("method", "endpoint", "status"), registry=registry)
        self.errors = Counter("api_errors_total", "Answers of 400 and above", ("endpoint",), registry=registry)
        self.upload_bytes = Counter("reconflow_upload_bytes_total", "Bytes of uploads taken in", registry=registry)
        self._latency = Histogram(
            "inference_latency_seconds", "From start to end of a job", buckets=_LATENCIES_S, registry=registry
        )
        self._registered = Gauge(
            "registered_images_ratio", "Registered photos of the job that ended last", registry=registry
        )
        self._valid = Gauge("data_valid_images_total", "Readable photos of the job that ended last", registry=registry)
        self._active = Gauge("active_jobs_total", "Jobs that are worked on", registry=registry)
        self._ready = Gauge("model_server_ready", "1 while a worker is up", registry=registry)
        self._queued = Gauge("reconflow_queue_depth", "Jobs that wait", registry=registry)
        self._oldest = Gauge("reconflow_job_oldest_queued_seconds", "Longest wait now", registry=registry)
        self._free = Gauge("reconflow_disk_free_bytes", "Free space for uploads and results", registry=registry)
        self._stages = Histogram(
            "reconflow_stage_duration_seconds",
            "Time of a job's stage",
            ("stage",),
            buckets=_STAGES_S,
            registry=registry,
        )
        self._finished = Counter(
            "reconflow_jobs_finished_total", "Jobs that ended", ("result", "error_code"), registry=registry
        )
        self._drift = Counter("reconflow_drift_total", "Uploads by drift", ("severity",), registry=registry)
        info = Gauge("reconflow_build_info", "Always 1", ("version",), registry=registry)
        info.labels(version=reconflow.__version__).set(1)
        service.on_accepted(self._count_drift)

    def counting(self, app: ASGIApp, *, routes: Litestar) -> ASGIApp:
        """Return the application with every answer counted, whatever made it, under its method and its route."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            method = scope["method"] if scope["method"] in _METHODS else "other"

            async def count(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._count(method, _route(scope, routes), message["status"])
                await send(message)

            await app(scope, receive, count)

        return answer

    def _count(self, method: str, endpoint: str, status: int) -> None:
        self.requests.labels(method=method, endpoint=endpoint, status=str(status)).inc()
        if status >= 400:
            self.errors.labels(endpoint=endpoint).inc()

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        now = self._service.status()
        with self._lock:
            self._active.set(now.active_jobs)
            self._queued.set(now.stages.get("queued", 0))
            self._oldest.set(now.oldest_queued_s)
            self._ready.set(int(any(runner.device for runner in now.runners)))
            self._free.set(now.free_bytes)
            for ended in self._ended.fresh():
                self._observe(ended)
        return generate_latest(self._registry)

    def _count_drift(self, job: Job) -> None:
        self._drift.labels(severity=job.drift.severity).inc()

    def _observe(self, ended: EndedJob) -> None:
        job = ended.job
        assert job.finished_at is not None
        self._finished.labels(result=job.stage, error_code=job.error_code or "").inc()
        if job.started_at is not None:
            self._latency.observe(job.finished_at - job.started_at)
        if job.registration_rate is not None:
            self._registered.set(job.registration_rate)
        if ended.n_readable is not None:
            self._valid.set(ended.n_readable)
        for stage, seconds in ended.stages_s.items():
            self._stages.labels(stage=stage).observe(seconds)


def _route(scope: Scope, routes: Litestar) -> str:
    """Return the template of the route asked for; a method that is not allowed has not led to one yet."""
    if template := scope.get("path_template"):
        return str(template)
    for method in _METHODS:
        with suppress(HTTPException):
            return routes.asgi_router.handle_routing(path=normalize_path(scope["path"]), method=method)[-1]
    return "unmatched"
