import stat

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
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(name, value):
    with pytest.raises(ConfigError, match=f"^{name}"):
        load_settings({name: value})


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


def test_every_setting_is_described_under_its_variable():
    names = [name for name, text in described_settings() if text]
    assert len(names) == len(set(names)) == len(described_settings())
    assert variable("airflow_url") in names
