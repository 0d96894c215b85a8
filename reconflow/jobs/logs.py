"""Log lines of the service: which request and which job they belong to, as text or as JSON, and no secrets in them."""

import contextvars
import logging
import re
import sys
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from reconflow.jobs.settings import ServiceSettings

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""Of the request that is being answered; empty outside of one."""
_job_id: contextvars.ContextVar[str] = contextvars.ContextVar("job_id", default="")

_HIDDEN = "***"
_SHORTEST_SECRET = 6
"""Hiding shorter ones would tear words apart."""
_LOOKS_SECRET = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), _HIDDEN),  # access tokens
    (re.compile(r"\brf_[\w-]{16,}"), _HIDDEN),  # API keys
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"(\w://[^\s:/@]*):[^\s@/]+@"), rf"\1:{_HIDDEN}@"),  # passwords in addresses
)


@contextmanager
def about_job(job_id: str) -> Generator[None]:
    """Put the job's id into every record of this thread, and of those that get a copy of its context."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


def configure_logging(settings: ServiceSettings) -> None:
    """Send this process's log to standard error, in the format the settings want.

    Libraries that brought handlers of their own lose them: call it once more after importing such.
    """
    formatter_of = {"json": JsonFormatter, "text": TextFormatter}
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_of[settings.log_format](_secrets(settings)))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if logger.handlers:
            logger.handlers.clear()
            logger.propagate = True
    logging.getLogger("reconflow").setLevel(logging.INFO)
    logging.getLogger("distributed").setLevel(logging.WARNING)  # importing it sets INFO


class TextFormatter(logging.Formatter):
    """Time, level, logger and message in a line, and the ids where there are any."""

    def __init__(self, secrets: Iterable[str] = ()):
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        ids = "".join(f" {name}={value}" for name, value in _ids().items() if value not in record.getMessage())
        return scrubbed(super().format(record) + ids, self._secrets)


class JsonFormatter(logging.Formatter):
    """One JSON object in a line."""

    def __init__(self, secrets: Iterable[str] = ()):
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        hidden = {name: scrubbed(v, self._secrets) if isinstance(v, str) else v for name, v in line.items()}
        return msgspec.json.encode(hidden, enc_hook=str).decode()


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without the secrets, nor what looks like one.

    >>> scrubbed("postgresql://anna:letmein@db/x refused hunter2", ["hunter2"])
    'postgresql://anna:***@db/x refused ***'
    """
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    for pattern, instead in _LOOKS_SECRET:
        text = pattern.sub(instead, text)
    return text


def _ids() -> dict[str, str]:
    found = {"request_id": request_id.get(), "job_id": _job_id.get()}
    return {name: value for name, value in found.items() if value}


def _secrets(settings: ServiceSettings) -> list[str]:
    told = (settings.admin_password, settings.jwt_secret, settings.webhook_secret, settings.airflow_password)
    return [secret for secret in told if len(secret) >= _SHORTEST_SECRET]
