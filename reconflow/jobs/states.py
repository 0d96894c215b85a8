"""The life of a job, as pure functions: stages, what may follow what, how far along it is, and why it failed.

::

    queued ─▶ extracting ─▶ matching ─▶ triangulating ─▶ decimating ─▶ success
       └──────────┴────────────┴─────────────┴───────────────┴─▶ failed | cancelled

A worker or a process may die at any point: the job is then claimed again and goes through the same stages from what is
stored, so an active job may fall back to ``extracting``, but the progress that people see does not. A runner that is
told to end gives its jobs back: they are ``queued`` again, at no progress like all that wait, and go on before others
begin.
"""

from typing import Literal

from reconflow.errors import (
    Cancelled,
    ClusterError,
    ConfigError,
    DiskFullError,
    NoImagesError,
    ReconflowError,
    TooFewImagesError,
    WeightsError,
    is_disk_full,
)

Stage = Literal["queued", "extracting", "matching", "triangulating", "decimating", "success", "failed", "cancelled"]
ErrorCode = Literal[
    "no_images", "too_few_images", "no_matches", "no_model", "bad_options", "out_of_memory", "worker_lost", "timeout",
    "disk_full", "cancelled", "internal",
]  # fmt: skip

PROGRESS: dict[Stage, float] = {
    "queued": 0,
    "extracting": 10,
    "matching": 30,
    "triangulating": 70,
    "decimating": 85,
    "success": 100,
    "failed": 0,
    "cancelled": 0,
}
"""Progress at the start of a stage, in percent."""
ACTIVE: tuple[Stage, ...] = ("extracting", "matching", "triangulating", "decimating")
FINISHED: tuple[Stage, ...] = ("success", "failed", "cancelled")
MAX_ATTEMPTS = 3

_END: dict[Stage, float] = {"extracting": 30, "matching": 70, "triangulating": 85, "decimating": 100}
_ENGINE: dict[str, tuple[Stage, float, float]] = {
    "weights": ("extracting", 0.0, 0.0),
    "ingest": ("extracting", 0.0, 1.0),
    "extract": ("matching", 0.0, 0.4),
    "shortlist": ("matching", 0.4, 0.45),
    "match": ("matching", 0.45, 0.9),
    "turn": ("matching", 0.9, 0.98),
    "split": ("matching", 0.98, 1.0),
    "reconstruct": ("triangulating", 0.0, 1.0),
    "cloud": ("decimating", 0.0, 0.7),
    "report": ("decimating", 0.7, 0.9),
}
"""Stage of the engine → stage of the job, and the share of it that this is."""

_HINTS: dict[ErrorCode, str] = {
    "no_images": "Pack .jpg, .png, .tif, .bmp or .webp photos into the ZIP.",
    "too_few_images": "Upload at least three readable photos; twenty or more that overlap work well.",
    "no_matches": "Photos must show the same place and overlap by half; upload more of them, taken closer together.",
    "no_model": "Take photos from more places, not just directions, and retry with the preset `detailed`.",
    "bad_options": "GET /options lists every option and its limits.",
    "out_of_memory": "Retry with the preset `fast`, or with fewer photos.",
    "worker_lost": "Retry: it goes on from what is stored.",
    "timeout": "Retry: it goes on from what is stored; the preset `fast` takes less time.",
    "disk_full": "Free disk space or delete old jobs, then retry.",
    "cancelled": "Retry to go on from what is stored.",
    "internal": "Retry; if it fails again, tell the operator the job's id.",
}


def engine_progress(stage: str, done: int, total: int) -> tuple[Stage, float]:
    """Return the job's stage and its progress in percent when ``done`` of ``total`` units of an engine stage are done.

    >>> engine_progress("reconstruct", 5, 10)
    ('triangulating', 77.5)
    """
    job_stage, start, end = _ENGINE[stage]
    share = start + (end - start) * (done / total if total else 1.0)
    first, last = PROGRESS[job_stage], _END[job_stage]
    return job_stage, round(first + share * (last - first), 1)


def may_retry(stage: Stage) -> bool:
    """Return whether a job in this stage can be queued again."""
    return stage in ("failed", "cancelled")


def may_cancel(stage: Stage) -> bool:
    """Return whether a job in this stage can be cancelled."""
    return stage not in FINISHED


def error_code(error: BaseException) -> ErrorCode:
    """Return what people and programs are told an error was."""
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, TimeoutError):
        return "timeout"
    if is_disk_full(error):
        return "disk_full"
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return "internal"


_CODES: tuple[tuple[type[ReconflowError], ErrorCode], ...] = (
    (Cancelled, "cancelled"),
    (TooFewImagesError, "too_few_images"),
    (NoImagesError, "no_images"),
    (ConfigError, "bad_options"),
    (WeightsError, "bad_options"),
    (ClusterError, "worker_lost"),
    (DiskFullError, "disk_full"),
)


def hint(code: ErrorCode) -> str:
    """Return what a person can do about it."""
    return _HINTS[code]
