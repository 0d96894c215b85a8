import time
import uuid

import pytest

from reconflow.core.drift import DriftReport
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job


@pytest.fixture
def ledger(database_url):
    with Ledger.open(database_url) as found:
        yield found


@pytest.fixture
def claims(ledger):
    return Claims(ledger)


@pytest.fixture(scope="session")
def new():
    """Return a function that makes a job that is not in the ledger yet."""

    def make(owner="anna", *, at=None, dataset="d", **changes):
        fields = {"created_at": time.time() if at is None else at, "options": {"a": 1}, "drift": DriftReport()}
        names = {"owner_id": owner, "dataset_name": dataset, "scene_name": "s"}
        return Job(job_id=str(uuid.uuid4()), **names, **(fields | changes))

    return make
