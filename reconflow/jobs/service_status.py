"""How the service is doing: its workers, its queue and its disk, for ``/metrics`` and for administrators."""

import shutil
import time
from collections.abc import Sequence

import msgspec

from reconflow.errors import NotReadyError
from reconflow.jobs.files import DataFolder
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import RunnerState

_ALIVE_S = 15
"""A runner tells of itself every few seconds; after so many without a word it counts as gone."""


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The service at one moment."""

    runners: list[RunnerState]
    """Those heard of within the last seconds."""
    stages: dict[str, int]
    """Jobs by stage."""
    active_jobs: int
    """Jobs that a living runner works on."""
    oldest_queued_s: float
    """How long the oldest queued job has waited; 0 where none does."""
    free_bytes: int
    total_bytes: int
    """Of the disk the data directory is on."""


def service_status(ledger: Ledger, files: DataFolder) -> ServiceStatus:
    """Return how the service is doing now."""
    counts = ledger.counts()
    disk = shutil.disk_usage(files.path)
    return ServiceStatus(
        runners=alive_runners(ledger),
        stages=counts.stages,
        active_jobs=counts.leased,
        oldest_queued_s=counts.oldest_queued_s,
        free_bytes=disk.free,
        total_bytes=disk.total,
    )


def alive_runners(ledger: Ledger) -> list[RunnerState]:
    """Return the runners that count as up, whether their workers are or not."""
    return ledger.runners(seen_since=time.time() - _ALIVE_S)


def best_device(runners: Sequence[RunnerState]) -> str:
    """Return the best device of runners' workers, as they told of themselves.

    Raises
    ------
    NotReadyError
        Where no worker is up.

    """
    devices = [runner.device for runner in runners if runner.device]
    if not devices:
        raise NotReadyError("workers are still starting" if runners else "no worker is up")
    return max(devices, key=lambda device: (device != "cpu", device))
