"""Retraining that uploads ask for, kept in the ledger until Airflow has taken it: no upload waits for an answer.

There is one wish at a time, that of the upload that drifted first. What drifts within the cool-down after a retraining
is dropped: a storm of odd uploads starts one.
"""

import logging
import time
from typing import Any

from sqlalchemy import and_, select, update

from reconflow.errors import RetrainError
from reconflow.jobs.database import reading, writing
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.retrain import retrain
from reconflow.jobs.settings import ServiceSettings
from reconflow.jobs.tables import RETRAIN
from reconflow.jobs.tables import wishes as table

logger = logging.getLogger(__name__)

_HOLD_S = 120.0
"""Longer than Airflow may take to answer."""
_AGAIN_S = 60.0
"""After a refusal."""


class Wishes:
    """The wish of a ledger for retraining, if there is one, and when the last was granted."""

    def __init__(self, ledger: Ledger):
        self._engine = ledger.engine

    def take(self, *, cooldown_s: float, hold_s: float) -> str | None:
        """Return the job whose upload asks for retraining, if that is due; nobody else gets it for ``hold_s``."""
        now = time.time()
        due = and_(table.c.name == RETRAIN, table.c.due_at <= now)
        query = select(table.c.wanted_by, table.c.taken_at).where(due)
        with reading(self._engine) as connection:  # the usual case, nothing is wanted, takes no write lock
            if connection.execute(query).first() is None:
                return None
        with writing(self._engine) as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            if now - row.taken_at < cooldown_s:
                logger.info("job %s drifts highly, and retraining began a short while ago", row.wanted_by)
                connection.execute(_change(wanted_by=None, due_at=None))
                return None
            connection.execute(_change(due_at=now + hold_s))
            return str(row.wanted_by)

    def granted(self) -> None:
        """Note that retraining began, whoever asked for it: the cool-down begins."""
        self._set(wanted_by=None, due_at=None, taken_at=time.time())

    def postpone(self, again_in_s: float) -> None:
        """Keep the wish for later."""
        self._set(due_at=time.time() + again_in_s)

    def _set(self, **values: Any) -> None:
        with writing(self._engine) as connection:
            connection.execute(_change(**values))


def grant_wish(wishes: Wishes, settings: ServiceSettings) -> None:
    """Trigger the retraining that is wanted, if any; where Airflow refuses, it is tried again later.

    The run carries the job's id: a process that dies before it has noted the answer starts no second one.
    """
    job_id = wishes.take(cooldown_s=settings.retrain_cooldown_s, hold_s=_HOLD_S)
    if job_id is None:
        return
    try:
        retrain(settings, conf={"job_id": job_id, "severity": "high"}, run_id=f"reconflow-{job_id}")
    except RetrainError as error:
        logger.warning("retraining could not be triggered and is tried again: %s", error.message)
        wishes.postpone(_AGAIN_S)
    else:
        logger.info("retraining was triggered: job %s drifts highly", job_id)
        wishes.granted()


def _change(**values: Any) -> Any:
    return update(table).where(table.c.name == RETRAIN).values(**values)
