"""The ledger: every job and its log, in SQL, safe among many processes. After any crash it is what counts.

Times are those of the callers' clocks; runners on several machines need clocks that agree to a second or two.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Select, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from reconflow.errors import JobStateError
from reconflow.jobs.database import open_database, reading, struct_of, writing
from reconflow.jobs.listing import JobFilter, cursor_after, newest_first
from reconflow.jobs.records import Job, JobEvent, JobPage, RunnerState
from reconflow.jobs.states import ACTIVE, FINISHED, MAX_ATTEMPTS, PROGRESS, Stage, hint
from reconflow.jobs.tables import RETRAIN, events, jobs, runners, wishes

_FIELDS = tuple(field.name for field in msgspec.structs.fields(Job))
_COLUMNS = [jobs.c[name] for name in _FIELDS]
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
        self._retention_s = retention_s

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

    # Jobs as people see them

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
                _log(connection, job.job_id, "stage", job.stage, job.progress, job.message)
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
            found = connection.execute(select(*_COLUMNS).where(same)).one_or_none()
        return None if found is None else _job(found)

    def job(self, job_id: str) -> Job | None:
        """Return a job."""
        with reading(self.engine) as connection:
            found = connection.execute(_one(job_id)).one_or_none()
        return None if found is None else _job(found)

    def jobs(self, *, cursor: str | None = None, limit: int = 50, **wanted: Any) -> JobPage:
        """Return jobs newest first; ``cursor`` is that of the page before, ``wanted`` the fields of :class:`JobFilter`.

        Raises
        ------
        InputError
            If the cursor is none of ours.

        """
        limit = max(1, min(limit, _MOST))
        query = newest_first(select(*_COLUMNS), JobFilter(**wanted), cursor=cursor)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
        found = tuple(_job(row) for row in rows[:limit])
        return JobPage(jobs=found, next_cursor=cursor_after(found[-1]) if len(rows) > limit else None)

    def request_cancel(self, job_id: str) -> Job | None:
        """Ask for a job to end; a queued one ends here and now."""
        with writing(self.engine) as connection:
            job = _locked(connection, job_id)
            if job is not None and job.stage == "queued":
                self._end(connection, job_id, "cancelled", "Cancelled.", code="cancelled")
            elif job is not None and job.stage not in FINISHED:
                connection.execute(_change(job_id, cancel_requested=True))
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
            job = _locked(connection, job_id)
            if job is not None and job.stage in ("failed", "cancelled"):
                fresh: dict[str, Any] = {} if options is None else {"options": dict(options)}
                message = "Waiting for a free slot, again."
                again = _BLANK | {"stage": "queued", "queued_at": time.time(), "message": message, **fresh}
                connection.execute(_change(job_id, **again))
                _log(connection, job_id, "stage", "queued", 0, message)
        return self.job(job_id)

    def delete(self, job_id: str, *, expired_before: float | None = None) -> bool:
        """Remove a job and its log, or only if it has ended and expired by then; return whether that was so.

        Raises
        ------
        JobStateError
            If it is running.

        """
        with writing(self.engine) as connection:
            job = _locked(connection, job_id)
            if expired_before is not None and (job is None or not _expires(job, expired_before)):
                return False
            if job is not None and job.stage in ACTIVE:
                raise JobStateError("the job is running: cancel it first")
            return connection.execute(delete(jobs).where(jobs.c.job_id == job_id)).rowcount > 0

    def expired(self, now: float) -> list[Job]:
        """Return the finished jobs whose time has come."""
        query = select(*_COLUMNS).where(jobs.c.expires_at <= now, jobs.c.stage.in_(FINISHED))
        with reading(self.engine) as connection:
            return [_job(row) for row in connection.execute(query)]

    def finished_after(self, at: float, *, limit: int = 1000) -> list[Job]:
        """Return the jobs that ended after ``at``, in order."""
        query = select(*_COLUMNS).where(jobs.c.finished_at > at).order_by(jobs.c.finished_at).limit(limit)
        with reading(self.engine) as connection:
            return [_job(row) for row in connection.execute(query)]

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

    # Jobs as runners see them

    def claim(self, runner: str, *, lease_s: float, besides: Collection[str] = ()) -> Job | None:
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
        query = select(*_COLUMNS).where(waiting, jobs.c.job_id.not_in(besides)).order_by(*order)
        with writing(self.engine) as connection:
            while (row := connection.execute(query.limit(1).with_for_update(skip_locked=True)).first()) is not None:
                job = _job(row)
                if job.cancel_requested:
                    self._end(connection, job.job_id, "cancelled", "Cancelled.", code="cancelled")
                elif job.attempt >= MAX_ATTEMPTS:
                    error = f"the service died under this job {job.attempt} times"
                    self._end(connection, job.job_id, "failed", hint("worker_lost"), error=error, code="worker_lost")
                else:
                    started = now if job.started_at is None else job.started_at
                    changes = {"stage": "extracting", "progress": max(job.progress, PROGRESS["extracting"])}
                    lease = {"runner": runner, "lease_until": now + lease_s, "attempt": job.attempt + 1}
                    connection.execute(_change(job.job_id, started_at=started, **changes, **lease))
                    return _job(connection.execute(_one(job.job_id)).one())
        return None

    def renew(self, job_id: str, runner: str, *, lease_s: float) -> bool:
        """Make a claim hold for ``lease_s`` from now; ``False`` where it belongs to somebody else."""
        with writing(self.engine) as connection:
            return _change_own(connection, job_id, runner, lease_until=time.time() + lease_s)

    def advance(
        self, job_id: str, runner: str, *, stage: Stage, progress: float, message: str, kind: str = "progress"
    ) -> bool:
        """Tell how far a claimed job is; ``False`` where the claim belongs to somebody else.

        The progress stored never goes down, though a job that goes on after a crash starts over from stage to stage.
        """
        with writing(self.engine) as connection:
            job = _locked(connection, job_id)
            shown = progress if job is None else max(job.progress, progress)
            ours = _change_own(connection, job_id, runner, stage=stage, progress=shown, message=message)
            if ours:
                _log(connection, job_id, kind, stage, shown, message)
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
        with writing(self.engine) as connection:
            # Says whether the claim is ours, and keeps others from the job until it has ended.
            if not _change_own(connection, job_id, runner, lease_until=None):
                return None
            if _job(connection.execute(_one(job_id)).one()).cancel_requested:
                self._end(connection, job_id, "cancelled", "Cancelled.", code="cancelled")
                return "cancelled"
            numbers = {name: value for name, value in (facts or {}).items() if value is not None}
            self._end(connection, job_id, stage, message, error=error, code=error_code, **numbers)
            return stage

    def release(
        self, job_id: str, runner: str, *, message: str = "Waiting for a free slot, after a restart of the service."
    ) -> bool:
        """Give a claimed job back unfinished, this attempt not counted; it waits at no progress, before fresh ones."""
        with writing(self.engine) as connection:
            back = {"stage": "queued", "progress": PROGRESS["queued"], "message": message, "queued_at": time.time()}
            back |= {"runner": None, "lease_until": None}
            ours = _change_own(connection, job_id, runner, attempt=jobs.c.attempt - 1, **back)
            if ours:
                job = _job(connection.execute(_one(job_id)).one())
                _log(connection, job_id, "stage", "queued", job.progress, message)
            return ours

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

    def _end(
        self,
        connection: Connection,
        job_id: str,
        stage: Stage,
        message: str,
        *,
        error: str | None = None,
        code: str | None = None,
        **numbers: float,
    ) -> None:
        now = time.time()
        values: dict[str, Any] = {"stage": stage, "progress": PROGRESS[stage], "message": message}
        values |= {"error": error, "error_code": code, "finished_at": now, "runner": None, "lease_until": None}
        values["expires_at"] = None if self._retention_s is None else now + self._retention_s
        told = case((jobs.c.webhook_url.is_(None), None), else_=now)
        connection.execute(_change(job_id, webhook_due_at=told, webhook_tries=0, **values, **numbers))
        _log(connection, job_id, "stage", stage, PROGRESS[stage], message if error is None else f"{error}. {message}")


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


def _one(job_id: str) -> Select[Any]:
    return select(*_COLUMNS).where(jobs.c.job_id == job_id)


def _job(row: Sequence[Any]) -> Job:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Job)


def _expires(job: Job, now: float) -> bool:
    return job.stage in FINISHED and job.expires_at is not None and job.expires_at <= now


def _locked(connection: Connection, job_id: str) -> Job | None:
    row = connection.execute(_one(job_id).with_for_update()).one_or_none()
    return None if row is None else _job(row)


def _change(job_id: str, **values: Any) -> Any:
    return update(jobs).where(jobs.c.job_id == job_id).values(**values)


def _change_own(connection: Connection, job_id: str, owner: str, /, **values: Any) -> bool:
    own = _change(job_id, **values).where(jobs.c.runner == owner, jobs.c.stage.in_(ACTIVE))
    return connection.execute(own).rowcount > 0


def _log(connection: Connection, job_id: str, kind: str, stage: str, progress: float, message: str) -> None:
    row = {"job_id": job_id, "at": time.time(), "kind": kind, "stage": stage, "progress": progress, "message": message}
    connection.execute(insert(events).values(row))
