import pytest

from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger


@pytest.fixture
def ledger(database_url):
    with Ledger.open(database_url) as found:
        yield found


@pytest.fixture
def claims(ledger):
    return Claims(ledger)
