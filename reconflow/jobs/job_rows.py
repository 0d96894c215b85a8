"""Rows of the ledger's table of jobs, as transactions read and change them."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Update, case, insert, select, update

from reconflow.jobs.database import columns_of
from reconflow.jobs.records import Job
from reconflow.jobs.states import PROGRESS, Stage
from reconflow.jobs.tables import events, jobs

_FIELDS = tuple(field.name for field in msgspec.structs.fields(Job))
JOB_COLUMNS = columns_of(jobs, Job)


def one_job(job_id: str) -> Select[Any]:
    """Return the query for one job."""
    return select(*JOB_COLUMNS).where(jobs.c.job_id == job_id)


def job_of(row: Sequence[Any]) -> Job:
    """Return a row of :data:`JOB_COLUMNS` as a value."""
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Job)


def locked_job(connection: Connection, job_id: str) -> Job | None:
    """Return a job that nobody else changes until the transaction ends."""
    row = connection.execute(one_job(job_id).with_for_update()).one_or_none()
    return None if row is None else job_of(row)


def change_of(job_id: str, **values: Any) -> Update:
    """Return the statement that changes a job."""
    return update(jobs).where(jobs.c.job_id == job_id).values(**values)


def log_event(connection: Connection, job_id: str, kind: str, stage: str, progress: float, message: str) -> None:
    """Write a line of a job's log."""
    row = {"job_id": job_id, "at": time.time(), "kind": kind, "stage": stage, "progress": progress, "message": message}
    connection.execute(insert(events).values(row))


def end_job(
    connection: Connection,
    job_id: str,
    stage: Stage,
    message: str,
    *,
    retention_s: float | None,
    error: str | None = None,
    code: str | None = None,
    **numbers: float,
) -> None:
    """End a job, which expires ``retention_s`` later, and have its webhook sent."""
    now = time.time()
    values: dict[str, Any] = {"stage": stage, "progress": PROGRESS[stage], "message": message}
    values |= {"error": error, "error_code": code, "finished_at": now, "runner": None, "lease_until": None}
    values["expires_at"] = None if retention_s is None else now + retention_s
    told = case((jobs.c.webhook_url.is_(None), None), else_=now)
    connection.execute(change_of(job_id, webhook_due_at=told, webhook_tries=0, **values, **numbers))
    log_event(connection, job_id, "stage", stage, PROGRESS[stage], message if error is None else f"{error}. {message}")
