import os
import uuid

import pytest
from sqlalchemy import create_engine, text

from reconflow.jobs.ledger import Ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """A fresh database of each kind: a file, and a schema of the server that RECONFLOW_TEST_POSTGRES names."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server = os.environ.get("RECONFLOW_TEST_POSTGRES")
    if not server:
        pytest.skip("RECONFLOW_TEST_POSTGRES names no PostgreSQL server")
    name = f"test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@pytest.fixture
def ledger(database_url):
    with Ledger.open(database_url) as found:
        yield found
