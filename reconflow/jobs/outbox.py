"""The webhooks that are still to be sent, kept in the ledger: none is lost when a process dies."""

import time

import msgspec
from sqlalchemy import select, update

from reconflow.jobs.database import reading, writing
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.tables import jobs


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook to send."""

    job: Job
    tries: int
    """How often it was tried before."""


class Outbox:
    """The webhooks of a ledger. A job gets one when it ends, however it ends."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger

    def take(self, *, hold_s: float) -> Letter | None:
        """Return the webhook that is due first; nobody else gets it for ``hold_s``, and then it is due again."""
        now = time.time()
        due = select(jobs.c.job_id, jobs.c.webhook_tries).where(jobs.c.webhook_due_at <= now)
        first = due.order_by(jobs.c.webhook_due_at).limit(1)
        with reading(self._ledger.engine) as connection:  # the usual case, nothing is due, takes no write lock
            if connection.execute(first).first() is None:
                return None
        with writing(self._ledger.engine) as connection:
            row = connection.execute(first.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            held = update(jobs).where(jobs.c.job_id == row.job_id)
            connection.execute(held.values(webhook_due_at=now + hold_s, webhook_tries=row.webhook_tries + 1))
        job = self._ledger.job(row.job_id)
        return None if job is None else Letter(job=job, tries=row.webhook_tries)

    def done(self, letter: Letter, *, again_in_s: float | None = None) -> None:
        """Note that a webhook was taken or given up, or when to try it again."""
        due_at = None if again_in_s is None else time.time() + again_in_s
        with writing(self._ledger.engine) as connection:
            mine = update(jobs).where(jobs.c.job_id == letter.job.job_id, jobs.c.finished_at == letter.job.finished_at)
            connection.execute(mine.values(webhook_due_at=due_at))
