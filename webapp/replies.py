"""What the service says, as typed values: the bodies of the contract."""

from typing import Any

import msgspec

from reconflow.core.drift import Severity
from reconflow.jobs.records import ApiKey, Job, JobEvent, Role, RunnerState, User
from reconflow.jobs.results import ClusterEntry, ImageEntry
from reconflow.jobs.states import ErrorCode, Stage, hint


class TokenReply(msgspec.Struct, frozen=True, kw_only=True):
    """A login."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    """Seconds."""
    refresh_token: str
    """Good for one ``POST /auth/refresh``."""


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the web page; its refresh token is in a cookie that scripts cannot read."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    """Seconds."""
    name: str
    role: Role


class LinksReply(msgspec.Struct, frozen=True, kw_only=True):
    """A token for links to what one job made."""

    link: str
    expires_in: int
    """Seconds."""


class StatusReply(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is doing, for its administrators."""

    version: str
    runners: list[RunnerState]
    """Those heard of within the last seconds."""
    stages: dict[str, int]
    """Jobs by stage."""
    oldest_queued_s: float
    free_bytes: int
    total_bytes: int
    """Of the disk the data directory is on."""


class HealthReply(msgspec.Struct, frozen=True, kw_only=True):
    """The web process is up."""

    status: str = "ok"
    version: str
    timestamp: float


class ReadyReply(msgspec.Struct, frozen=True, kw_only=True):
    """A worker is up."""

    status: str = "ready"
    device: str


class UploadReply(msgspec.Struct, frozen=True, kw_only=True):
    """An upload was accepted."""

    job_id: str
    message: str = "Pipeline started."


class TriggerReply(msgspec.Struct, frozen=True, kw_only=True):
    """Retraining was started."""

    status: str = "triggered"


class JobReply(msgspec.Struct, frozen=True, kw_only=True):
    """A job."""

    job_id: str
    stage: Stage
    status: Stage
    """The same as ``stage``."""
    progress: float
    message: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    expires_at: float | None
    n_images: int
    n_points: int
    registration_rate: float | None
    error: str | None
    error_code: ErrorCode | None
    hint: str | None
    download_url: str | None
    has_drift: bool
    drift_severity: Severity
    dataset_name: str
    scene_name: str
    attempt: int
    options: dict[str, Any]
    owner: str | None
    """The name of whose job it is, for administrators; null for everybody else, and where the account is gone."""


class JobsReply(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first."""

    jobs: list[JobReply]
    next_cursor: str | None
    """For the next page; null on the last one."""


class EventsReply(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a job's log."""

    events: list[JobEvent]
    next_after: int | None
    """For the rest, as ``?after=``; null where this was all."""


class ClustersReply(msgspec.Struct, frozen=True, kw_only=True):
    """A job's models."""

    clusters: list[ClusterEntry]


class ImagesReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every file."""

    images: list[ImageEntry]


class UserReply(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    user_id: str
    name: str
    role: Role
    created_at: float


class UsersReply(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts."""

    users: list[User]


class KeysReply(msgspec.Struct, frozen=True, kw_only=True):
    """A user's API keys."""

    keys: list[ApiKey]


class NewKeyReply(msgspec.Struct, frozen=True, kw_only=True):
    """A new API key; the key itself is told only here."""

    key_id: str
    label: str
    key: str


def job_reply(job: Job, *, owner: str | None = None) -> JobReply:
    """Return a job as the contract has it."""
    return JobReply(
        job_id=job.job_id,
        stage=job.stage,
        status=job.stage,
        progress=job.progress,
        message=job.message,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        expires_at=job.expires_at,
        n_images=job.n_images,
        n_points=job.n_points,
        registration_rate=job.registration_rate,
        error=job.error,
        error_code=job.error_code,
        hint=None if job.error_code is None else hint(job.error_code),
        download_url=f"/download/jobs/{job.job_id}" if job.stage == "success" and job.n_points else None,
        has_drift=job.drift.drift_detected,
        drift_severity=job.drift.severity,
        dataset_name=job.dataset_name,
        scene_name=job.scene_name,
        attempt=job.attempt,
        options=job.options,
        owner=owner,
    )
