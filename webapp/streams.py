"""A job's log as a live stream of server-sent events."""

import time
from collections.abc import AsyncIterator
from functools import partial

import anyio
import msgspec
from anyio import to_thread
from litestar.response.sse import ServerSentEventMessage

from reconflow.errors import NotFoundError
from reconflow.jobs.records import User
from reconflow.jobs.service import JobService
from reconflow.jobs.states import FINISHED

_POLL_S = 0.3
_HEARTBEAT_S = 15.0


async def job_stream(
    service: JobService, user: User, job_id: str, *, after_id: int
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield what happens to a job after an event, until it ends; a comment now and then keeps proxies listening."""
    spoken_at = time.monotonic()
    while True:
        try:
            # Asked before the log is read, so that the last line is never missed.
            ended = await to_thread.run_sync(_has_ended, service, user, job_id)
            events = await to_thread.run_sync(partial(service.events, user, job_id, after_id=after_id))
        except NotFoundError:  # deleted while somebody was listening
            return
        for event in events:
            after_id = event.id
            spoken_at = time.monotonic()
            yield ServerSentEventMessage(data=msgspec.json.encode(event).decode(), event=event.kind, id=event.id)
        if ended and not events:  # not at its last line: an end may be followed by another try
            return
        if time.monotonic() - spoken_at > _HEARTBEAT_S:
            spoken_at = time.monotonic()
            yield ServerSentEventMessage(comment="still there", data=None)
        if not events:
            await anyio.sleep(_POLL_S)


def _has_ended(service: JobService, user: User, job_id: str) -> bool:
    return service.job(user, job_id).stage in FINISHED
