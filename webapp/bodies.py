"""Request bodies as they arrive."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from litestar import Request

from reconflow.errors import InputError

_PATIENCE_S = 30.0
"""A client that is silent for longer is given up: what it sent counts, and what it held is free again."""


async def received(request: "Request[Any, Any, Any]") -> AsyncIterator[bytes]:
    """Yield the body in pieces, none of them empty.

    Of a body whose connection is cut, the server may drop the last 64 KB it has not handed over yet.

    Raises
    ------
    InputError
        If the connection is cut before the end, or nothing comes for half a minute.

    """
    more = True
    while more:
        try:
            with anyio.fail_after(_PATIENCE_S):
                message = await request.receive()
        except TimeoutError as error:
            raise InputError(f"nothing came for {_PATIENCE_S:g} seconds") from error
        if message["type"] == "http.disconnect":
            raise InputError("the connection was cut before the end of the body")
        if message["type"] == "http.request":
            more = message["more_body"]
            if message["body"]:
                yield message["body"]
