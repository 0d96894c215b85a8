"""A job while its ledger does not answer: its tables are away, so every statement of a real database fails."""

import contextlib
import threading
import time
import uuid

import pytest
from sqlalchemy import text

from reconflow.core.drift import DriftReport
from reconflow.errors import StoreError
from reconflow.jobs.lease import Lease
from reconflow.jobs.records import Job
from reconflow.jobs.runner import Runner
from reconflow.jobs.settings import load_settings
from reconflow.pipeline.events import Notice, StageStarted


@contextlib.contextmanager
def silent(ledger):
    """A ledger that answers nothing."""
    for place, name in (("jobs", "jobs_away"), ("runners", "runners_away")):
        with ledger.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {place} RENAME TO {name}"))
    with pytest.raises(StoreError):
        ledger.jobs()
    yield
    for place, name in (("jobs", "jobs_away"), ("runners", "runners_away")):
        with ledger.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {name} RENAME TO {place}"))


@pytest.fixture
def job(ledger, claims):
    fields = {"created_at": time.time(), "options": {}, "drift": DriftReport()}
    ledger.add_job(Job(job_id=str(uuid.uuid4()), owner_id="anna", dataset_name="d", scene_name="s", **fields))
    return claims.take("a", lease_s=60)


@pytest.fixture
def lease(ledger, job):
    later = time.monotonic() + 60
    return Lease(ledger, job, "a", lease_s=60, deadline=later, stopping=threading.Event())


@pytest.fixture
def runner(ledger, tmp_path):
    return Runner(load_settings({}, data_dir=tmp_path), ledger, "host:1:x")


def test_what_is_not_heard_ends_no_job_and_a_stage_is_told_as_soon_as_it_can_be(ledger, job, lease):
    with silent(ledger):
        lease.advance("matching", 30, "in vain")
        lease.hear(StageStarted(stage="extract", unit="photos", total=7))
        lease.hear(Notice(stage="extract", message="in vain"))
    assert not lease.is_over()
    lease.advance("matching", 40, "halfway")
    assert [(event.kind, event.message) for event in ledger.events(job.job_id)][1:] == [("stage", "halfway")]


def test_the_end_of_a_job_is_told_until_it_is_heard(ledger, job, lease, runner):
    with silent(ledger):
        told = threading.Thread(target=runner._finish, args=(job, lease, "success", "Done."))
        told.start()
        told.join(1)
        assert told.is_alive()
    told.join(30)
    assert ledger.job(job.job_id).stage == "success"


def test_a_runner_that_ends_waits_for_no_answer(ledger, job, lease, runner):
    runner.stop()
    with silent(ledger), pytest.raises(StoreError):
        runner._finish(job, lease, "success", "Done.")


def test_a_runner_that_is_not_heard_goes_on(ledger, runner):
    with silent(ledger):
        runner._tell(device="cpu", dashboard_url="")
    runner._tell(device="cpu", dashboard_url="")
    assert [state.device for state in ledger.runners(seen_since=0)] == ["cpu"]
