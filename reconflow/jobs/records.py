"""What the ledger holds, as frozen values. Times are seconds since 1970."""

import uuid
from typing import Any, Literal

import msgspec

from reconflow.core.drift import DriftReport
from reconflow.jobs.states import ErrorCode, Stage
from reconflow.pipeline.machines import MachineState

Role = Literal["user", "admin"]


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID in its usual writing, as all ids are."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One upload and what became of it."""

    job_id: str
    """A UUID in its usual writing."""
    owner_id: str
    dataset_name: str
    scene_name: str
    stage: Stage = "queued"
    progress: float = 0.0
    """Percent; never goes back while a job runs. One that waits is at 0, though it ran before."""
    message: str = ""
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    n_images: int = 0
    n_points: int = 0
    registration_rate: float | None = None
    """Registered over readable photos, 0 to 1."""
    error: str | None = None
    error_code: ErrorCode | None = None
    options: dict[str, Any]
    """The pipeline configuration it runs with, as a tree."""
    drift: DriftReport
    attempt: int = 0
    """How often a runner has claimed it since it was last queued by a person."""
    cancel_requested: bool = False
    webhook_url: str | None = None


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's log."""

    id: int
    """Grows with time over all jobs: what ``Last-Event-ID`` refers to."""
    job_id: str
    at: float
    kind: Literal["stage", "progress", "notice"]
    stage: Stage
    progress: float
    message: str


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, newest first, and where the next page begins."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


class RunnerState(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs jobs, as it last told of itself."""

    runner: str
    """``host:pid:random``."""
    device: str
    """Asked of a worker: ``cpu`` or ``NVIDIA A100 (40.0 GB)``; empty while its workers are starting."""
    dashboard_url: str
    seen_at: float
    machines: tuple[MachineState, ...] = ()
    """Those of its cluster; none while it starts."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account."""

    user_id: str
    name: str
    role: Role
    created_at: float


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key for scripts. The key itself is told once and never stored, only its hash."""

    key_id: str
    user_id: str
    label: str
    created_at: float
    last_used_at: float | None = None


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """What a login gives: a user's identity for an access token, and a refresh token that works once."""

    user: User
    refresh_token: str
    refresh_expires_at: float
