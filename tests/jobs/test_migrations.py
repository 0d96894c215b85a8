"""Databases as they are opened, and older ones brought up to date."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from reconflow.errors import ConfigError, StoreError
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.tables import metadata
from reconflow.jobs.wishes import Wishes


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(ledger):
    with ledger.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_changes_nothing_and_a_newer_schema_is_refused(database_url, new):
    with Ledger.open(database_url) as ledger:
        job = new()
        ledger.add_job(job)
    with Ledger.open(database_url) as ledger:
        assert ledger.job(job.job_id) == job
        with ledger.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer reconflow"):
        Ledger.open(database_url)


def test_a_ledger_of_the_first_schema_keeps_its_jobs(database_url, new):
    with Ledger.open(database_url) as ledger:
        job = new(at=5.0)
        ledger.add_job(job)
        told = ledger.events(job.job_id)
        with ledger.engine.begin() as connection:
            _downgrade(connection)
    with Ledger.open(database_url) as ledger:
        assert ledger.job(job.job_id) == job
        assert ledger.events(job.job_id) == told
        assert told
        assert ledger.counts().oldest_queued_s > 1e9
        with ledger.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def _downgrade(connection):
    """Take away what later migrations added."""
    _name_wishes_turns(connection)
    connection.execute(text("DELETE FROM turns"))
    for name in ("wanted_by", "due_at"):
        connection.execute(text(f"ALTER TABLE turns DROP COLUMN {name}"))
    connection.execute(text("ALTER TABLE runners DROP COLUMN machines"))
    connection.execute(text("ALTER TABLE users DROP COLUMN tokens_from"))
    for name in ("ix_jobs_stage_queued_at", "ix_jobs_webhook_due_at"):
        connection.execute(text(f"DROP INDEX {name}"))
    for name in ("queued_at", "webhook_due_at", "webhook_tries"):
        connection.execute(text(f"ALTER TABLE jobs DROP COLUMN {name}"))
    connection.execute(text("CREATE INDEX ix_jobs_stage_created_at ON jobs (stage, created_at)"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def _name_wishes_turns(connection):
    connection.execute(text("ALTER TABLE wishes RENAME TO turns"))
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE turns RENAME CONSTRAINT pk_wishes TO pk_turns"))


def test_a_wish_outlives_the_change_of_its_tables_name(database_url, new):
    with Ledger.open(database_url) as ledger:
        job, _ = ledger.add_job(new(), wants_retraining=True)
        with ledger.engine.begin() as connection:
            _name_wishes_turns(connection)
            connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))
    with Ledger.open(database_url) as ledger:
        assert Wishes(ledger).take(cooldown_s=60, hold_s=60) == job.job_id
        with ledger.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("url", ["nonsense", "oracle+none://x", "postgresql+psycopg://127.0.0.1:9/none"])
def test_a_wrong_database_is_refused_with_a_sentence(url):
    with pytest.raises(ConfigError):
        Ledger.open(url)
