"""The service's settings, read once from the environment and refused with a sentence when wrong."""

import math
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from reconflow.errors import ConfigError
from reconflow.jobs.private_files import write_private

SHORTEST_PASSWORD = 8
"""Of any account, in characters."""
_SHORTEST_SECRETS = {"jwt_secret": 32, "webhook_secret": 16}
"""In bytes."""
_SCHEDULER = re.compile(r"((tcp|tls|ucx|wss?)://)?(\[[\da-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})")
_CERTIFICATES = ("scheduler_tls_ca", "scheduler_tls_cert", "scheduler_tls_key")


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service can be told; the descriptions are what ``reconflow serve --help`` prints."""

    data_dir: Annotated[Path, Meta(description="where uploads, results, the store and the ledger live")]
    database_url: Annotated[
        str, Meta(description="SQLAlchemy URL of the ledger (default: SQLite in the data directory)")
    ] = ""
    scheduler: Annotated[str, Meta(description="an existing Dask scheduler (default: a local cluster)")] = ""
    workers: Annotated[int, Meta(description="local worker processes (default: one per core)", ge=0)] = 0
    scheduler_tls_ca: Annotated[str, Meta(description="CA certificate for a remote scheduler")] = ""
    scheduler_tls_cert: Annotated[str, Meta(description="our certificate for a remote scheduler")] = ""
    scheduler_tls_key: Annotated[str, Meta(description="our key for a remote scheduler")] = ""
    dashboard_port: Annotated[
        int,
        Meta(
            description="port of the local cluster's dashboard and metrics; a free one where it is taken",
            ge=0,
            le=65_535,
        ),
    ] = 8787
    max_concurrent_jobs: Annotated[int, Meta(description="jobs that run at once", ge=1)] = 1
    job_timeout_s: Annotated[float, Meta(description="a job that runs longer fails", ge=1)] = 86_400
    lease_s: Annotated[
        float, Meta(description="after so long without a sign of life a job goes to another runner", ge=1)
    ] = 20
    max_upload_bytes: Annotated[int, Meta(description="largest upload", ge=1)] = 10 << 30
    upload_expiry_s: Annotated[
        float, Meta(description="an unfinished resumable upload is dropped so long after its last byte", ge=1)
    ] = 86_400
    min_free_bytes: Annotated[
        int, Meta(description="free disk space below which nothing is taken or started", ge=0)
    ] = 1 << 30
    retention_days: Annotated[
        float, Meta(description="finished jobs are deleted after so many days (0: never)", ge=0)
    ] = 0
    config: Annotated[
        str, Meta(description="pipeline configuration that jobs start from, as `reconflow run --config` takes it")
    ] = ""
    drift_baseline: Annotated[
        str, Meta(description="baseline of the drift check (default: drift-baseline.json in the data directory)")
    ] = ""
    admin_name: Annotated[str, Meta(description="name of the first administrator")] = "admin"
    admin_password: Annotated[
        str, Meta(description="password of the first administrator (default: generated and printed once)")
    ] = ""
    jwt_secret: Annotated[
        str,
        Meta(description="secret access tokens are signed with (default: generated into the data directory)"),
    ] = ""
    jwt_expiry_seconds: Annotated[int, Meta(description="how long an access token lives", ge=1)] = 900
    refresh_expiry_seconds: Annotated[int, Meta(description="how long a refresh token lives", ge=1)] = 30 * 86_400
    log_format: Annotated[Literal["text", "json"], Meta(description="text or json: how log lines are written")] = "text"
    webhook_secret: Annotated[
        str, Meta(description="secret that webhooks are signed with; without it none are sent")
    ] = ""
    retrain_on_high_drift: Annotated[bool, Meta(description="trigger retraining when an upload drifts highly")] = False
    retrain_cooldown_s: Annotated[
        float, Meta(description="for so long after one, no upload triggers another", ge=0)
    ] = 3600
    airflow_url: Annotated[str, Meta(description="base address of Airflow")] = ""
    airflow_username: Annotated[str, Meta(description="Airflow account")] = ""
    airflow_password: Annotated[str, Meta(description="its password")] = ""
    airflow_api_version: Annotated[
        Literal["auto", "2", "1"], Meta(description="auto, 2 (Airflow 3) or 1 (Airflow 2)")
    ] = "auto"

    def __post_init__(self) -> None:
        for name, shortest in _SHORTEST_SECRETS.items():
            if 0 < len(getattr(self, name).encode()) < shortest:
                raise _wrong(name, f"must be at least {shortest} bytes long")
        if 0 < len(self.admin_password) < SHORTEST_PASSWORD:
            raise _wrong("admin_password", f"must be at least {SHORTEST_PASSWORD} characters long")
        for name in self.__struct_fields__:
            if isinstance(value := getattr(self, name), float) and not math.isfinite(value):
                raise _wrong(name, "must be a finite number")
        if self.scheduler and not _is_scheduler(self.scheduler):
            raise _wrong("scheduler", "must be an address such as tcp://head:8786")
        if self.airflow_url and not _is_web_address(self.airflow_url):
            raise _wrong("airflow_url", "must be an address such as https://airflow.example.org")
        if self.retrain_on_high_drift and not self.airflow_url:
            raise _wrong("retrain_on_high_drift", f"needs {variable('airflow_url')}, the Airflow that retrains")
        if 0 < sum(bool(getattr(self, name)) for name in _CERTIFICATES) < len(_CERTIFICATES):
            raise _wrong("scheduler_tls_ca", "needs CA, CERT and KEY, or none of them")

    @property
    def ledger_url(self) -> str:
        """URL of the ledger's database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'reconflow.db'}"

    @property
    def retention_s(self) -> float | None:
        """How long finished jobs are kept; ``None``: for ever."""
        return self.retention_days * 86_400.0 or None

    @property
    def baseline_path(self) -> Path:
        """Where the drift baseline is."""
        return Path(self.drift_baseline) if self.drift_baseline else self.data_dir / "drift-baseline.json"


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    >>> variable("data_dir"), variable("jwt_expiry_seconds"), variable("airflow_url")
    ('RECONFLOW_DATA_DIR', 'JWT_EXPIRY_SECONDS', 'AIRFLOW_URL')
    """
    bare = name.startswith("airflow_") or name in ("jwt_expiry_seconds", "max_concurrent_jobs")
    return name.upper() if bare else f"RECONFLOW_{name.upper()}"


def described_settings() -> list[tuple[str, str]]:
    """Return the environment variable of every setting and what it is."""
    hints = get_type_hints(ServiceSettings, include_extras=True)
    return [(variable(name), hint.__metadata__[0].description) for name, hint in hints.items()]


def load_settings(environment: Mapping[str, str], **given: object) -> ServiceSettings:
    """Return the settings: ``given`` ones, then the environment's, then the defaults.

    ``NAME_FILE`` may name a file that holds the value of ``NAME``.

    Raises
    ------
    ConfigError
        If a value does not fit; the message names the variable.

    """
    values: dict[str, object] = {"data_dir": "reconflow-data"}
    known = {field.name: variable(field.name) for field in msgspec.structs.fields(ServiceSettings)}
    ours = {"RECONFLOW_" + rest for rest in _ELSEWHERE}
    names = {*known.values(), *(f"{name}_FILE" for name in known.values()), *ours}
    for name in environment:
        if name.startswith("RECONFLOW_") and name not in names:
            raise ConfigError(f"{name} is no setting of reconflow: `reconflow serve --help` lists them")
    for field, name in known.items():
        if environment.get(f"{name}_FILE"):
            values[field] = _from_file(Path(environment[f"{name}_FILE"]), f"{name}_FILE")
        elif environment.get(name):
            values[field] = environment[name]
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        settings = msgspec.convert(values, ServiceSettings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise ConfigError(f"{known[place.partition('`')[0]]}: {what[0].lower()}{what[1:]}".replace("`", "")) from error
    for name in _CERTIFICATES:
        _check_readable(getattr(settings, name), variable(name))
    return settings


_ELSEWHERE = ("CACHE", "GOLDEN", "OFFLINE", "TEST_DATA", "TEST_LIGHTGLUE", "TEST_POSTGRES", "TEST_UI", "URL", "WEIGHTS")
"""Variables of this prefix that other parts read."""


def jwt_secret(settings: ServiceSettings) -> str:
    """Return the secret access tokens are signed with, generating it into the data directory the first time.

    Raises
    ------
    ConfigError
        If what stands there is too short.

    """
    if settings.jwt_secret:
        return settings.jwt_secret
    path = settings.data_dir / "jwt-secret"
    write_private(path, secrets.token_urlsafe(48))
    secret = _from_file(path, "RECONFLOW_JWT_SECRET")
    if len(secret.encode()) < _SHORTEST_SECRETS["jwt_secret"]:
        raise ConfigError(f"{path} is too short for a secret: delete it, and a new one is made at the next start")
    return secret


def _wrong(name: str, what: str) -> ValueError:
    """Return what msgspec turns into an error of its own, as if it had checked the field itself."""
    return ValueError(f"{what} - at `$.{name}`")


def _is_scheduler(address: str) -> bool:
    match = _SCHEDULER.fullmatch(address)
    return match is not None and 0 < int(match["port"]) < 65_536


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _path(kind: type, value: object) -> object:
    return Path(str(value)) if kind is Path else value


def _from_file(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {path} cannot be read ({getattr(error, 'strerror', 'no text')})") from error


def _check_readable(path: str, name: str) -> None:
    try:
        if path:
            Path(path).open("rb").close()
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be read ({error.strerror})") from error
