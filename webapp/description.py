"""What the OpenAPI document says beyond the handlers' signatures: HEAD, headers, streamed bodies, who needs no token.

A handler tells of headers and of a body that it reads itself under ``opt["described"]``.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIResponse, Operation, Parameter, PathItem, Reference, RequestBody, Schema
from litestar.openapi.spec.media_type import OpenAPIMediaType
from litestar.routes import HTTPRoute


class Described(msgspec.Struct, frozen=True):
    """What a signature does not show."""

    headers: Mapping[str, Schema] = {}
    """Of the request; those whose description begins with "Needed" must be there."""
    body: Mapping[str, Schema] = {}
    """Schema by media type."""
    body_needed: bool = True
    also: tuple[str, ...] = ()
    """Media types that a successful answer may have too."""


def text(description: str = "", **limits: Any) -> Schema:
    """Return the schema of a text."""
    return Schema(type="string", description=description or None, **limits)  # pyright: ignore[reportArgumentType]


def count(description: str) -> Schema:
    """Return the schema of a number of bytes."""
    return Schema(type="integer", minimum=0, maximum=10**18 - 1, description=description)  # pyright: ignore[reportArgumentType]


def complete(app: Litestar) -> None:
    """Make the application's document say all of it."""
    items: Mapping[str, PathItem] = app.openapi_schema.paths or {}
    for path, method, handler in _handlers(app):
        operation = getattr(items.get(path), method.lower(), None)
        if isinstance(operation, Operation):
            _complete(operation, handler)
    for item in items.values():
        if item.get is not None and item.head is None:
            item.head = _head_of(item.get)
    for schema in (app.openapi_schema.components.schemas or {}).values():
        _even(schema)


def _even(schema: object) -> None:
    """Describe tuples of one type as arrays of a fixed length, which more tools understand."""
    if not isinstance(schema, Schema):
        return
    places = schema.prefix_items or []
    if places and all(place == places[0] for place in places):
        schema.items, schema.prefix_items = places[0], None
        schema.min_items = schema.max_items = len(places)
    for inner in (schema.items, *(schema.properties or {}).values()):
        _even(inner)


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                yield route.path_format, method, handler


def _complete(operation: Operation, handler: HTTPRouteHandler) -> None:
    if handler.opt.get("exclude_from_auth"):
        operation.security = []
    described = handler.opt.get("described", Described())
    operation.parameters = [*(operation.parameters or []), *_header_parameters(described)] or None
    if described.body:
        content = {kind: OpenAPIMediaType(schema=schema) for kind, schema in described.body.items()}
        operation.request_body = RequestBody(content=content, required=described.body_needed)
    data = handler.parsed_fn_signature.parameters.get("data")
    if data is not None and data.is_optional and isinstance(operation.request_body, RequestBody):
        operation.request_body.required = False
    if operation.request_body is not None and operation.responses and "413" not in operation.responses:
        operation.responses["413"] = _too_large(operation.responses["400"])
    for status, response in (operation.responses or {}).items():
        if isinstance(response, OpenAPIResponse):
            _complete_response(status, response, described)


def _too_large(like: OpenAPIResponse | Reference) -> OpenAPIResponse | Reference:
    response = copy.deepcopy(like)
    if isinstance(response, OpenAPIResponse):
        response.description = "The body is too large"
    return response


def _complete_response(status: str, response: OpenAPIResponse, described: Described) -> None:
    if status in ("204", "304"):
        response.content = None
    elif status.startswith("2") and response.content is not None:
        response.content |= {kind: OpenAPIMediaType(schema=text()) for kind in described.also}


def _header_parameters(described: Described) -> list[Parameter]:
    return [
        Parameter(name, "header", schema=schema, required=(schema.description or "").startswith("Needed"))
        for name, schema in described.headers.items()
    ]


def _head_of(operation: Operation) -> Operation:
    """HEAD answers as GET does, without the body."""
    head = copy.deepcopy(operation)
    head.operation_id = f"Head{operation.operation_id}"
    for response in (head.responses or {}).values():
        if isinstance(response, OpenAPIResponse):
            response.content = None
    return head
