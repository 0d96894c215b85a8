"""The ledger: every job and its log, in SQL, safe among many processes. After any crash it is what counts.

Jobs stand here as people see them; what runners do with them is in `reconflow.jobs.claims`. Times are those of the
callers' clocks; runners on several machines need clocks that agree to a second or two.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec
from sqlalchemy import Engine, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from reconflow.errors import JobStateError
from reconflow.jobs.database import open_database, reading, struct_of, writing
from reconflow.jobs.job_rows import JOB_COLUMNS, change_of, end_job, job_of, locked_job, log_event, one_job
from reconflow.jobs.listing import JobFilter, cursor_after, newest_first
from reconflow.jobs.records import Job, JobEvent, JobPage, RunnerState
from reconflow.jobs.states import ACTIVE, FINISHED
from reconflow.jobs.tables import RETRAIN, events, jobs, runners, wishes

_MOST = 500


class LedgerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs there are."""

    stages: dict[str, int]
    leased: int
    """Jobs that a living runner works on."""
    oldest_queued_s: float
    """How long the oldest queued job has waited; 0 where none does."""


class Ledger:
    """One database. Every method is one transaction and may be called from any thread."""

    def __init__(self, engine: Engine, *, retention_s: float | None = None):
        self.engine = engine
        self.retention_s = retention_s

    @classmethod
    def open(cls, url: str, *, retention_s: float | None = None) -> "Ledger":
        """Open a database by its SQLAlchemy URL, and bring its schema up to date.

        Jobs that end expire after ``retention_s``, or never. Raises the errors of
        :func:`reconflow.jobs.database.open_database`.
        """
        return cls(open_database(url), retention_s=retention_s)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_job(
        self, job: Job, *, idempotency_key: str | None = None, wants_retraining: bool = False
    ) -> tuple[Job, bool]:
        """Store a job and return it with ``True``, or the one its owner stored under the same key with ``False``.

        With ``wants_retraining`` it asks for that too, unless another job does already (`reconflow.jobs.wishes`).
        """
        row = msgspec.to_builtins(job) | {"idempotency_key": idempotency_key}
        row |= {"queued_at": job.created_at, "webhook_tries": 0}
        try:
            with writing(self.engine) as connection:
                connection.execute(insert(jobs).values(row))
                log_event(connection, job.job_id, "stage", job.stage, job.progress, job.message)
                if wants_retraining:
                    unasked = update(wishes).where(wishes.c.name == RETRAIN, wishes.c.wanted_by.is_(None))
                    connection.execute(unasked.values(wanted_by=job.job_id, due_at=time.time()))
        except IntegrityError:
            found = self.job_of_key(job.owner_id, idempotency_key)
            if found is None:
                raise
            return found, False
        return job, True

    def job_of_key(self, owner_id: str, idempotency_key: str | None) -> Job | None:
        """Return the job that an owner stored under a key; ``None`` where there is none, or no key."""
        if idempotency_key is None:
            return None
        same = and_(jobs.c.owner_id == owner_id, jobs.c.idempotency_key == idempotency_key)
        with reading(self.engine) as connection:
            found = connection.execute(select(*JOB_COLUMNS).where(same)).one_or_none()
        return None if found is None else job_of(found)

    def job(self, job_id: str) -> Job | None:
        """Return a job."""
        with reading(self.engine) as connection:
            found = connection.execute(one_job(job_id)).one_or_none()
        return None if found is None else job_of(found)

    def jobs(self, *, cursor: str | None = None, limit: int = 50, **wanted: Any) -> JobPage:
        """Return jobs newest first; ``cursor`` is that of the page before, ``wanted`` the fields of :class:`JobFilter`.

        Raises
        ------
        InputError
            If the cursor is none of ours.

        """
        limit = max(1, min(limit, _MOST))
        query = newest_first(select(*JOB_COLUMNS), JobFilter(**wanted), cursor=cursor)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
        found = tuple(job_of(row) for row in rows[:limit])
        return JobPage(jobs=found, next_cursor=cursor_after(found[-1]) if len(rows) > limit else None)

    def request_cancel(self, job_id: str) -> Job | None:
        """Ask for a job to end; a queued one ends here and now."""
        with writing(self.engine) as connection:
            job = locked_job(connection, job_id)
            if job is not None and job.stage == "queued":
                end_job(connection, job_id, "cancelled", "Cancelled.", code="cancelled", retention_s=self.retention_s)
            elif job is not None and job.stage not in FINISHED:
                connection.execute(change_of(job_id, cancel_requested=True))
        return self.job(job_id)

    def is_cancel_requested(self, job_id: str) -> bool:
        """Return whether a job is to end; a job that is gone is."""
        with reading(self.engine) as connection:
            return connection.execute(select(jobs.c.cancel_requested).where(jobs.c.job_id == job_id)).scalar() in (
                True,
                None,
            )

    def retry(self, job_id: str, *, options: Mapping[str, Any] | None = None) -> Job | None:
        """Queue a failed or cancelled job again; others stay as they are."""
        with writing(self.engine) as connection:
            job = locked_job(connection, job_id)
            if job is not None and job.stage in ("failed", "cancelled"):
                fresh: dict[str, Any] = {} if options is None else {"options": dict(options)}
                message = "Waiting for a free slot, again."
                again = _BLANK | {"stage": "queued", "queued_at": time.time(), "message": message, **fresh}
                connection.execute(change_of(job_id, **again))
                log_event(connection, job_id, "stage", "queued", 0, message)
        return self.job(job_id)

    def delete(self, job_id: str, *, expired_before: float | None = None) -> bool:
        """Remove a job and its log, or only if it has ended and expired by then; return whether that was so.

        Raises
        ------
        JobStateError
            If it is running.

        """
        with writing(self.engine) as connection:
            job = locked_job(connection, job_id)
            if expired_before is not None and (job is None or not _expires(job, expired_before)):
                return False
            if job is not None and job.stage in ACTIVE:
                raise JobStateError("the job is running: cancel it first")
            return connection.execute(delete(jobs).where(jobs.c.job_id == job_id)).rowcount > 0

    def expired(self, now: float) -> list[Job]:
        """Return the finished jobs whose time has come."""
        query = select(*JOB_COLUMNS).where(jobs.c.expires_at <= now, jobs.c.stage.in_(FINISHED))
        with reading(self.engine) as connection:
            return [job_of(row) for row in connection.execute(query)]

    def finished_after(self, at: float, *, limit: int = 1000) -> list[Job]:
        """Return the jobs that ended after ``at``, in order."""
        query = select(*JOB_COLUMNS).where(jobs.c.finished_at > at).order_by(jobs.c.finished_at).limit(limit)
        with reading(self.engine) as connection:
            return [job_of(row) for row in connection.execute(query)]

    def latest_finish(self) -> float:
        """Return the newest ``finished_at``; 0 where no job has ended."""
        with reading(self.engine) as connection:
            return float(connection.execute(select(func.max(jobs.c.finished_at))).scalar() or 0.0)

    def events(self, job_id: str, *, after_id: int = 0, limit: int = _MOST) -> list[JobEvent]:
        """Return a job's log after an event, oldest first."""
        query = select(events).where(events.c.job_id == job_id, events.c.id > after_id).order_by(events.c.id)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(max(1, min(limit, _MOST)))).mappings().all()
        return [struct_of(row, JobEvent) for row in rows]

    def counts(self) -> LedgerCounts:
        """Return how many jobs are in each stage, and how long the oldest waits."""
        with reading(self.engine) as connection:
            stages = connection.execute(select(jobs.c.stage, func.count()).group_by(jobs.c.stage)).all()
            oldest = connection.execute(select(func.min(jobs.c.queued_at)).where(jobs.c.stage == "queued")).scalar()
            live = select(func.count()).where(jobs.c.stage.in_(ACTIVE), jobs.c.lease_until > time.time())
            leased = connection.execute(live).scalar() or 0
        waited = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        return LedgerCounts(stages={row[0]: row[1] for row in stages}, leased=leased, oldest_queued_s=waited)

    def beat(self, state: RunnerState) -> None:
        """Keep what a runner tells of itself."""
        with writing(self.engine) as connection:
            connection.execute(delete(runners).where(runners.c.runner == state.runner))
            connection.execute(insert(runners).values(msgspec.to_builtins(state)))

    def forget_runner(self, runner: str) -> None:
        """Drop a runner that ends, and those that have not been heard of for a day."""
        with writing(self.engine) as connection:
            gone = or_(runners.c.runner == runner, runners.c.seen_at < time.time() - 86_400)
            connection.execute(delete(runners).where(gone))

    def runners(self, *, seen_since: float) -> list[RunnerState]:
        """Return the runners heard of since a time."""
        query = select(runners).where(runners.c.seen_at >= seen_since).order_by(runners.c.runner)
        with reading(self.engine) as connection:
            return [struct_of(row, RunnerState) for row in connection.execute(query).mappings()]


_BLANK: dict[str, Any] = {
    "progress": 0.0,
    "n_points": 0,
    "registration_rate": None,
    "started_at": None,
    "finished_at": None,
    "expires_at": None,
    "error": None,
    "error_code": None,
    "attempt": 0,
    "cancel_requested": False,
    "webhook_due_at": None,
    "runner": None,
    "lease_until": None,
}


def _expires(job: Job, now: float) -> bool:
    return job.stage in FINISHED and job.expires_at is not None and job.expires_at <= now
