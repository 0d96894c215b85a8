"""What a runner tells of itself, by a real runner process with a real cluster."""

import time

import httpx
import pytest

from reconflow.jobs.ledger import Ledger
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.jobs.settings import load_settings


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A runner's state once its workers are up; it runs on."""
    settings = load_settings({}, data_dir=tmp_path_factory.mktemp("data"), workers=2, dashboard_port=0)
    with Ledger.open(settings.ledger_url) as ledger, RunnerProcess(settings):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = [state for state in ledger.runners(seen_since=time.time() - 15) if state.machines]
            if found:
                break
            time.sleep(0.1)
        yield found[0]


def test_a_runner_tells_of_its_machines(told):
    [machine] = told.machines
    assert (machine.workers, machine.threads, machine.busy, machine.mapping, machine.gpus) == (2, 2, 0, 0, ())
    assert machine.host == "127.0.0.1"
    assert 0 < machine.memory_bytes < machine.memory_limit_bytes


def test_the_dashboard_that_is_linked_to_is_there(told):
    answer = httpx.get(told.dashboard_url, timeout=60)
    assert answer.status_code == 200
    assert "needs bokeh" not in answer.text
    assert "<html" in answer.text
