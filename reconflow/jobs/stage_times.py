"""How long a job was in each of its stages, by its log."""

import itertools
from collections.abc import Sequence

from sqlalchemy import select

from reconflow.jobs.database import reading
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.states import ACTIVE, FINISHED
from reconflow.jobs.tables import events


def stage_seconds(ledger: Ledger, job_id: str) -> dict[str, float]:
    """Return the seconds of every stage of a job since it was last queued anew, whatever happened in between."""
    query = select(events.c.stage, events.c.at).where(events.c.job_id == job_id, events.c.kind == "stage")
    with reading(ledger.engine) as connection:
        rows = connection.execute(query.order_by(events.c.id)).all()
    return times_of_last_try([(stage, at) for stage, at in rows])


def times_of_last_try(changes: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of every stage, from the stages a job came to and when; what ended before does not count.

    >>> first = [("queued", 0.0), ("matching", 1.0), ("failed", 9.0)]
    >>> times_of_last_try([*first, ("queued", 20.0), ("matching", 21.0), ("success", 24.0)])
    {'matching': 3.0}
    """
    ends = [number for number, (stage, _) in enumerate(changes[:-1]) if stage in FINISHED]
    seconds: dict[str, float] = {}
    for (stage, at), (_, until) in itertools.pairwise(changes[ends[-1] + 1 if ends else 0 :]):
        if stage in ACTIVE:
            seconds[stage] = seconds.get(stage, 0.0) + until - at
    return seconds
