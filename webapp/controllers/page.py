"""The web page: its one document and its assets. Its own addresses (``/#/jobs/…``) stay in the browser."""

from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

import reconflow
from webapp.guards import PUBLIC
from webapp.page import Asset, page_asset

_FOR_EVER = "public, max-age=31536000, immutable"
_MISSING = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>reconflow</title><h1>reconflow</h1>"
    f"<p>Version {reconflow.__version__}. The web page is not built here: run <code>make ui</code> and reload."
    ' The REST API works without it: <a href="/schema/openapi.json">/schema/openapi.json</a>.</p></html>'
)


@get("/", opt=PUBLIC, include_in_schema=False, media_type="text/html", sync_to_thread=True)
def document(request: Request[Any, Any, Any]) -> Response[Any]:
    """Return the page, or how to build it."""
    found = page_asset("index.html")
    return Response(_MISSING, media_type="text/html") if found is None else _sent(request, found, {})


@get("/static/{name:path}", opt=PUBLIC, include_in_schema=False, sync_to_thread=True)
def asset(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Return an asset. Its name holds a hash of its content, so that browsers may keep it."""
    found = page_asset(name.lstrip("/"))
    if found is None:
        raise NotFoundException
    return _sent(request, found, {"Cache-Control": _FOR_EVER})


def _sent(request: Request[Any, Any, Any], found: Asset, headers: dict[str, str]) -> Response[Any]:
    headers = headers | {"Vary": "Accept-Encoding"}
    if found.packed is None or "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.content, media_type=found.media_type, headers=headers)
    return Response(found.packed, media_type=found.media_type, headers=headers | {"Content-Encoding": "gzip"})
