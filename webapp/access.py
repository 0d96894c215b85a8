"""Every request has an id, which its log lines and its answer carry, and leaves one line in the log."""

import logging
import re
import time
import uuid

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from reconflow.jobs.logs import request_id

logger = logging.getLogger("reconflow.access")

_HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def logging_access(app: ASGIApp) -> ASGIApp:
    """Return the application with ids and a line per request: its route, never its address, which may hold secrets."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(_HEADER, b"")
        mine = given.decode() if _SANE.fullmatch(given) else uuid.uuid4().hex
        method, begun_at, status = scope["method"], time.perf_counter(), 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, mine.encode())]
            await send(message)

        token = request_id.set(mine)
        try:
            await app(scope, receive, tell)
        finally:
            route = scope.get("path_template") or "unmatched"
            ms = round(1000 * (time.perf_counter() - begun_at), 1)
            fields = {"method": method, "route": route, "status": status, "ms": ms}
            logger.info("%s %s %d in %.1f ms", method, route, status, ms, extra={"fields": fields})
            request_id.reset(token)

    return answer
