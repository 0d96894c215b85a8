import re
import stat
from pathlib import Path

import pytest

from reconflow.errors import ConfigError
from reconflow.jobs.settings import described_settings, jwt_secret, load_settings, variable


def test_given_values_come_before_the_environment_and_that_before_defaults(tmp_path):
    found = load_settings({"RECONFLOW_WORKERS": "3", "JWT_EXPIRY_SECONDS": "60"}, data_dir=tmp_path, workers=2)
    assert (found.workers, found.jwt_expiry_seconds, found.max_concurrent_jobs) == (2, 60, 1)
    assert load_settings({"RECONFLOW_WORKERS": "3"}, workers=None).workers == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_CONCURRENT_JOBS", "0"),
        ("RECONFLOW_LEASE_S", "soon"),
        ("RECONFLOW_JWT_SECRET", "short"),
        ("AIRFLOW_API_VERSION", "3"),
        ("RECONFLOW_RETRAIN_ON_HIGH_DRIFT", "maybe"),
        ("RECONFLOW_ADMIN_PASSWORD_FILE", "/nowhere/secret"),
        ("RECONFLOW_WORKER", "2"),
        ("RECONFLOW_DASHBOARD_PORT", "99999"),
        ("RECONFLOW_LEASE_S", "inf"),
        ("RECONFLOW_RETENTION_DAYS", "nan"),
        ("RECONFLOW_SCHEDULER", "my scheduler"),
        ("RECONFLOW_SCHEDULER", "tcp://head:99999"),
        ("RECONFLOW_WEBHOOK_SECRET", "s"),
        ("RECONFLOW_ADMIN_PASSWORD", "1234567"),
        ("AIRFLOW_URL", "airflow.example.org"),
        ("AIRFLOW_URL", "http://airflow:x/"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name}"):
        load_settings({name: value})


def test_certificates_that_cannot_be_read_are_told_at_the_start(tmp_path):
    names = [f"RECONFLOW_SCHEDULER_TLS_{part}" for part in ("CA", "CERT", "KEY")]
    environment = {name: str(tmp_path / name) for name in names}
    for name in names[:2]:
        (tmp_path / name).write_text("PEM")
    with pytest.raises(ConfigError, match=r"^RECONFLOW_SCHEDULER_TLS_KEY: .* cannot be read"):
        load_settings(environment)
    (tmp_path / names[2]).write_text("PEM")
    assert load_settings(environment).scheduler_tls_ca == environment[names[0]]


def test_retraining_on_drift_needs_an_airflow():
    wish = {"RECONFLOW_RETRAIN_ON_HIGH_DRIFT": "true"}
    with pytest.raises(ConfigError, match=r"^RECONFLOW_RETRAIN_ON_HIGH_DRIFT: needs AIRFLOW_URL"):
        load_settings(wish)
    assert load_settings(wish | {"AIRFLOW_URL": "http://airflow:8080"}).retrain_on_high_drift


@pytest.mark.parametrize("address", ["tcp://head:8786", "tls://10.0.0.1:8786", "head:8786", "tcp://[::1]:8786"])
def test_addresses_of_schedulers_are_taken(address):
    assert load_settings({"RECONFLOW_SCHEDULER": address}).scheduler == address


def test_every_variable_that_the_sources_read_may_be_set_when_the_service_starts():
    root = Path(__file__).parents[2]
    sources = [path for folder in ("reconflow", "benchmarks", "tests") for path in (root / folder).rglob("*.py")]
    found = {name for path in sources for name in re.findall(r"\bRECONFLOW_\w*[A-Z]\b", path.read_text())}
    assert {"RECONFLOW_CACHE", "RECONFLOW_OFFLINE", "RECONFLOW_WEIGHTS", "RECONFLOW_JWT_SECRET"} <= found
    refused = []
    for name in found - {"RECONFLOW_WORKER"}:  # misspelt on purpose, above
        try:
            load_settings({name: "1"})
        except ConfigError as error:  # some want more than this value
            refused.append(error.message)
    assert not [message for message in refused if "no setting" in message]


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / "password").write_text("correct horse\n")
    assert (
        load_settings({"RECONFLOW_ADMIN_PASSWORD_FILE": str(tmp_path / "password")}).admin_password == "correct horse"
    )


def test_the_secret_for_tokens_is_made_once_and_for_nobody_else_to_read(tmp_path):
    settings = load_settings({}, data_dir=tmp_path)
    secret = jwt_secret(settings)
    assert len(secret) >= 32
    assert jwt_secret(settings) == secret
    assert stat.S_IMODE((tmp_path / "jwt-secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"short", b"", bytes(range(128, 192))])
def test_a_secret_for_tokens_that_was_cut_short_is_not_used(tmp_path, content):
    (tmp_path / "jwt-secret").write_bytes(content)
    with pytest.raises(ConfigError, match=r"jwt-secret"):
        jwt_secret(load_settings({}, data_dir=tmp_path))


def test_every_setting_is_described_under_its_variable():
    names = [name for name, text in described_settings() if text]
    assert len(names) == len(set(names)) == len(described_settings())
    assert variable("airflow_url") in names
