"""HEAD wherever there is GET: the same answer, authenticated alike, without its body."""

import anyio
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_OWN_HEAD = "/uploads/"
"""Resumable uploads give HEAD a meaning of its own."""


def answering_head(app: ASGIApp) -> ASGIApp:
    """Return the application with HEAD."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].startswith(_OWN_HEAD):
            await app(scope, receive, send)
            return

        with anyio.CancelScope() as asking:

            async def send_head(message: Message) -> None:
                if message["type"] == "http.response.start":
                    scope["method"] = "HEAD"  # as the server knows it, which then expects no body
                    await send(message)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    asking.cancel()  # nobody reads what follows, and a live stream would follow for hours

            scope["method"] = "GET"
            await app(scope, receive, send_head)

    return answer
