"""What comes with an upload: names, options, and where to tell of the job's end; checked before anything is kept."""

from typing import Any

import httpx
import msgspec

from reconflow.errors import ConfigError, InputError

_NAME_LENGTH = 100
_URL_LENGTH = 2000
_HIGHEST_PORT = 65_535


class UploadForm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The text fields of an upload."""

    dataset_name: str = "custom"
    scene_name: str = "scene_01"
    options: str | None = None
    """JSON as ``GET /options`` describes it."""
    idempotency_key: str | None = None
    """A second upload of the same owner under the same key makes no second job."""
    webhook_url: str | None = None


def check_form(form: UploadForm) -> None:
    """Raise :class:`InputError` where a field cannot be; the options are left to :func:`parsed_options`."""
    check_name("dataset_name", form.dataset_name)
    check_name("scene_name", form.scene_name)
    if form.idempotency_key is not None:
        check_name("Idempotency-Key", form.idempotency_key)
    if form.webhook_url is not None:
        _check_url("webhook_url", form.webhook_url)


def check_name(field: str, value: str) -> None:
    """Raise :class:`InputError` unless ``value`` can name something."""
    if not value or len(value) > _NAME_LENGTH or not value.isprintable() or "/" in value:
        raise InputError(f"{field} must be 1 to {_NAME_LENGTH} printable characters without a slash")


def _check_url(field: str, url: str) -> None:
    if not (url.startswith(("https://", "http://")) and url.isprintable()):
        raise InputError(f"{field} must begin with https:// or http://")
    if len(url) > _URL_LENGTH:
        raise InputError(f"{field} must not be longer than {_URL_LENGTH} characters")
    try:
        parsed = httpx.URL(url)
        name = parsed.host  # decoded: not every xn-- is a name
        parsed.raw_host.decode().encode("idna")  # as it is looked up: labels of 1 to 63 characters
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"{field} names no host that can be looked up") from error
    if not name or "%" in name or not 0 < (parsed.port or 80) <= _HIGHEST_PORT:
        raise InputError(f"{field} must name a host, and a port up to {_HIGHEST_PORT} if any")


def parsed_options(options: str | None) -> dict[str, Any]:
    """Return the tree of a form's options."""
    if not options:
        return {}
    try:
        tree = msgspec.json.decode(options)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"options: not valid JSON: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError('options: expected a JSON object such as {"preset": "fast"}')
    return tree
