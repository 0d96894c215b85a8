"""Errors of the library and of Litestar → HTTP: one table. A body says what a person can do, never how we are made."""

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.openapi.datastructures import ResponseSpec

from reconflow import errors
from reconflow.errors import ReconflowError
from reconflow.jobs.states import error_code, hint

logger = logging.getLogger(__name__)

STATUS: dict[type[ReconflowError], int] = {
    errors.CredentialsError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.JobStateError: 409,
    errors.OffsetError: 409,
    errors.UploadEndedError: 410,
    errors.TooLargeError: 413,
    errors.UploadBusyError: 423,
    errors.ThrottledError: 429,
    errors.ChecksumError: 460,
    errors.RetrainError: 502,
    errors.NotReadyError: 503,
    errors.NotExaminedError: 503,
    errors.StoreError: 503,
    errors.DiskFullError: 507,
    errors.InputError: 400,
    errors.ConfigError: 400,
}
"""The first class an error is an instance of decides; everything else is 500."""
_NOTHING_HERE = "There is nothing at this address"
_RETRY_AFTER_S = {423: "1", 429: "300", 503: "5"}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error."""

    detail: str
    """One sentence: what is wrong and what to do."""
    error_code: str | None = None
    hint: str | None = None


def problems(*codes: int) -> dict[int, ResponseSpec]:
    """Return the errors of a route for OpenAPI; those that any route may answer with are added."""
    every = {
        400: "The request cannot be understood", 401: "No valid token", 429: "Too many requests",
        503: "No worker is up, the ledger does not answer, or the photos were not looked at to the end",
        507: "Not enough disk space",
    }  # fmt: skip
    words = {
        403: "Not with this role", 404: "There is no such thing", 405: "Not with this method",
        409: "Not in this stage of the job or the upload", 410: "The upload has ended",
        412: "Another version of tus, or none", 413: "Over a limit on uploads", 415: "Not this type of body",
        416: "No such range", 423: "Somebody else is writing to the upload", 460: "The checksum does not match",
        502: "Airflow is unreachable or refuses",
    }  # fmt: skip
    told = every | {code: words.get(code, "") for code in codes if code not in every}
    return {code: ResponseSpec(Problem, description=text, generate_examples=False) for code, text in told.items()}


def library_error(request: "Request[Any, Any, Any]", error: ReconflowError) -> Response[Problem]:
    """Answer with what the library says."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    if status == 500:
        return internal_error(request, error)
    code = error_code(error)
    told = Problem(error.message) if code == "internal" else Problem(error.message, code, hint(code))
    return _answer(told, status)


def http_error(_: "Request[Any, Any, Any]", error: HTTPException) -> Response[Problem]:
    """Answer with what Litestar says."""
    detail = error.detail
    if isinstance(error, NotFoundException):
        detail = _NOTHING_HERE
    elif isinstance(error, MethodNotAllowedException):
        detail = "This address does not take this method"
    elif error.status_code == 400 and isinstance(error.extra, list):
        places = "; ".join(_place(e.get("key", ""), e.get("message", "")) for e in error.extra if isinstance(e, dict))
        detail = places or detail
    return _answer(Problem(detail), error.status_code, error.headers)


def too_deep(request: "Request[Any, Any, Any]", error: RecursionError) -> Response[Problem]:
    """Answer to JSON that is nested more deeply than it can be read."""
    logger.warning("%s %s: nested too deeply", request.method, request.url.path, exc_info=error)
    return _answer(Problem("The body is nested too deeply"), 400)


def _place(key: str, message: str) -> str:
    """Return what is wrong in one place; of a part that is missing, Litestar knows only the name."""
    if message == repr(key):
        return f"{'the body' if key == 'data' else key} is missing"
    return f"{key}: {message}"


def told_in_words(response: Response[Any]) -> Response[Any]:
    """Return an answer of Litestar's own schema routes, whose "not found" is a page, as others are."""
    return _answer(Problem(_NOTHING_HERE), 404) if response.status_code == 404 else response


def internal_error(request: "Request[Any, Any, Any]", error: Exception) -> Response[Problem]:
    """Answer with nothing but that it failed; the log has the rest."""
    if error_code(error) == "disk_full":
        return _answer(Problem("The disk is full: delete old jobs, or try later", "disk_full", hint("disk_full")), 507)
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(Problem("Something went wrong inside the service", "internal", hint("internal")), 500)


def _answer(problem: Problem, status: int, headers: dict[str, str] | None = None) -> Response[Problem]:
    headers = dict(headers or {})
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in _RETRY_AFTER_S:
        headers["Retry-After"] = _RETRY_AFTER_S[status]
    return Response(problem, status_code=status, headers=headers, media_type="application/json")
