"""Jobs as they end, each told once, for whoever counts them."""

from collections.abc import Iterator

import msgspec

from reconflow.jobs.files import DataFolder
from reconflow.jobs.job_insights import job_insights
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.results import JobResult
from reconflow.jobs.stage_times import stage_seconds

_LATE_S = 60.0
"""A job's end may be written so long after that of one that ended later: transactions wait for each other and for the
disk, and the clocks of several machines do not quite agree."""


class EndedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has ended, and what it came to."""

    job: Job
    n_readable: int | None
    """Photos that could be read; ``None`` where it ended before it had a result."""
    stages_s: dict[str, float]
    """How long it was in each of its stages."""


class EndedJobs:
    """The jobs that end from now on. One that is tried again is told again when it ends again.

    Parameters
    ----------
    ledger : Ledger
        Where they are.
    files : DataFolder
        Where their results are.

    """

    def __init__(self, ledger: Ledger, files: DataFolder):
        self._ledger = ledger
        self._files = files
        self._newest = ledger.latest_finish()
        self._told: set[tuple[float, str]] = set()
        """Ends of the last minute, which are looked at again."""
        for _ in self._untold():
            pass

    def fresh(self) -> Iterator[EndedJob]:
        """Yield the jobs that ended and have not been told yet, in the order of their ends as far as it is known."""
        for job in self._untold():
            details = job_insights(job, JobResult(self._files.result(job.job_id))).details
            yield EndedJob(
                job=job,
                n_readable=None if details is None else details.n_readable,
                stages_s=stage_seconds(self._ledger, job.job_id),
            )

    def _untold(self) -> Iterator[Job]:
        after = self._newest - _LATE_S
        self._told = {end for end in self._told if end[0] > after}
        while page := self._ledger.finished_after(after):
            for job in page:
                assert job.finished_at is not None
                after = job.finished_at
                if (after, job.job_id) not in self._told:
                    self._told.add((after, job.job_id))
                    self._newest = max(self._newest, after)
                    yield job
