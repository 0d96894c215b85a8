"""Jobs as runners see them: taken for a while, told of, and ended or given back, by whoever holds the claim."""

import time
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from reconflow.jobs.database import writing
from reconflow.jobs.job_rows import JOB_COLUMNS, change_of, end_job, job_of, locked_job, log_event, one_job
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.states import ACTIVE, MAX_ATTEMPTS, PROGRESS, Stage, hint
from reconflow.jobs.tables import jobs


class Claims:
    """The claims on the jobs of a ledger. Every method is one transaction and may be called from any thread."""

    def __init__(self, ledger: Ledger):
        self._engine = ledger.engine
        self._retention_s = ledger.retention_s

    def take(self, runner: str, *, lease_s: float, besides: Collection[str] = ()) -> Job | None:
        """Take the job that is next, for ``lease_s`` seconds; ``None`` where none waits but those ``besides``.

        Jobs whose runner died go first, and of these those that got further, so that a crash costs little; then those
        that were begun and given back, then all others. Among equals those of whoever has fewest running go first,
        then those that have waited longest. What has been tried too often fails here, and what was cancelled ends here.
        """
        now = time.time()
        running = (
            select(jobs.c.owner_id, func.count().label("count"))
            .where(jobs.c.stage.in_(ACTIVE), jobs.c.lease_until > now)
            .group_by(jobs.c.owner_id)
            .subquery()
        )
        waiting = or_(
            jobs.c.stage == "queued",
            and_(jobs.c.stage.in_(ACTIVE), or_(jobs.c.lease_until.is_(None), jobs.c.lease_until <= now)),
        )
        share = func.coalesce(select(running.c.count).where(running.c.owner_id == jobs.c.owner_id).scalar_subquery(), 0)
        order = (jobs.c.progress.desc(), jobs.c.started_at.is_(None), share, jobs.c.queued_at, jobs.c.job_id)
        query = select(*JOB_COLUMNS).where(waiting, jobs.c.job_id.not_in(besides)).order_by(*order)
        with writing(self._engine) as connection:
            while (row := connection.execute(query.limit(1).with_for_update(skip_locked=True)).first()) is not None:
                job = job_of(row)
                if job.cancel_requested:
                    self._end(connection, job.job_id, "cancelled", "Cancelled.", code="cancelled")
                elif job.attempt >= MAX_ATTEMPTS:
                    error = f"the service died under this job {job.attempt} times"
                    self._end(connection, job.job_id, "failed", hint("worker_lost"), error=error, code="worker_lost")
                else:
                    started = now if job.started_at is None else job.started_at
                    changes = {"stage": "extracting", "progress": max(job.progress, PROGRESS["extracting"])}
                    lease = {"runner": runner, "lease_until": now + lease_s, "attempt": job.attempt + 1}
                    connection.execute(change_of(job.job_id, started_at=started, **changes, **lease))
                    return job_of(connection.execute(one_job(job.job_id)).one())
        return None

    def renew(self, job_id: str, runner: str, *, lease_s: float) -> bool:
        """Make a claim hold for ``lease_s`` from now; ``False`` where it belongs to somebody else."""
        with writing(self._engine) as connection:
            return _change_own(connection, job_id, runner, lease_until=time.time() + lease_s)

    def advance(
        self, job_id: str, runner: str, *, stage: Stage, progress: float, message: str, kind: str = "progress"
    ) -> bool:
        """Tell how far a claimed job is; ``False`` where the claim belongs to somebody else.

        The progress stored never goes down, though a job that goes on after a crash starts over from stage to stage.
        """
        with writing(self._engine) as connection:
            job = locked_job(connection, job_id)
            shown = progress if job is None else max(job.progress, progress)
            ours = _change_own(connection, job_id, runner, stage=stage, progress=shown, message=message)
            if ours:
                log_event(connection, job_id, kind, stage, shown, message)
            return ours

    def finish(
        self,
        job_id: str,
        runner: str,
        *,
        stage: Stage,
        message: str,
        error: str | None = None,
        error_code: str | None = None,
        facts: Mapping[str, float | int | None] | None = None,
    ) -> Stage | None:
        """End a claimed job and return how it ended; ``None`` where the claim belongs to somebody else.

        ``facts`` are its numbers. A job that was asked to end meanwhile is cancelled instead, without numbers or error.
        """
        with writing(self._engine) as connection:
            # Says whether the claim is ours, and keeps others from the job until it has ended.
            if not _change_own(connection, job_id, runner, lease_until=None):
                return None
            if job_of(connection.execute(one_job(job_id)).one()).cancel_requested:
                self._end(connection, job_id, "cancelled", "Cancelled.", code="cancelled")
                return "cancelled"
            numbers = {name: value for name, value in (facts or {}).items() if value is not None}
            self._end(connection, job_id, stage, message, error=error, code=error_code, **numbers)
            return stage

    def release(
        self, job_id: str, runner: str, *, message: str = "Waiting for a free slot, after a restart of the service."
    ) -> bool:
        """Give a claimed job back unfinished, this attempt not counted; it waits at no progress, before fresh ones."""
        with writing(self._engine) as connection:
            back = {"stage": "queued", "progress": PROGRESS["queued"], "message": message, "queued_at": time.time()}
            back |= {"runner": None, "lease_until": None}
            ours = _change_own(connection, job_id, runner, attempt=jobs.c.attempt - 1, **back)
            if ours:
                job = job_of(connection.execute(one_job(job_id)).one())
                log_event(connection, job_id, "stage", "queued", job.progress, message)
            return ours

    def _end(self, connection: Connection, job_id: str, stage: Stage, message: str, **rest: Any) -> None:
        end_job(connection, job_id, stage, message, retention_s=self._retention_s, **rest)


def _change_own(connection: Connection, job_id: str, owner: str, /, **values: Any) -> bool:
    own = change_of(job_id, **values).where(jobs.c.runner == owner, jobs.c.stage.in_(ACTIVE))
    return connection.execute(own).rowcount > 0
