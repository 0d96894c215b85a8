import time

import pytest
from sqlalchemy import text

from reconflow.core.drift import DriftReport
from reconflow.jobs.ended_jobs import EndedJobs
from reconflow.jobs.files import DataFolder
from reconflow.jobs.records import Job


@pytest.fixture
def ended_jobs(ledger, tmp_path):
    """Starts to look for jobs that end."""
    return lambda: EndedJobs(ledger, DataFolder(tmp_path / "data", min_free_bytes=0))


def end(ledger, number, *, ago_s=0.0):
    """End a job, as it is read when its end is written."""
    job_id = f"00000000-0000-4000-8000-{number:012}"
    if ledger.job(job_id) is None:
        names = {"owner_id": "anna", "dataset_name": "d", "scene_name": "s"}
        ledger.add_job(Job(job_id=job_id, created_at=time.time(), options={}, drift=DriftReport(), **names))
    ledger.request_cancel(job_id)
    with ledger.engine.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET finished_at = finished_at - {ago_s} WHERE job_id = '{job_id}'"))
    return job_id


def told(ended):
    return [each.job.job_id for each in ended.fresh()]


def test_jobs_that_end_are_told_once_and_those_of_before_never(ledger, ended_jobs):
    end(ledger, 1)
    ended = ended_jobs()
    assert told(ended) == []
    fresh = [end(ledger, 2), end(ledger, 3)]
    assert told(ended) == fresh
    assert told(ended) == []


def test_an_end_that_is_written_after_a_later_one_is_told_too(ledger, ended_jobs):
    end(ledger, 1)
    ended = ended_jobs()
    first = end(ledger, 2)
    assert told(ended) == [first]
    late = end(ledger, 3, ago_s=20)
    assert told(ended) == [late]
    assert told(ended) == []


def test_a_job_that_ends_again_is_told_again(ledger, ended_jobs):
    ended = ended_jobs()
    job_id = end(ledger, 1)
    assert told(ended) == [job_id]
    ledger.retry(job_id)
    assert told(ended) == []
    end(ledger, 1)
    assert told(ended) == [job_id]


def test_more_ends_than_the_ledger_tells_at_once_are_all_told(ledger, ended_jobs, monkeypatch):
    ended, ask = ended_jobs(), ledger.finished_after
    monkeypatch.setattr(ledger, "finished_after", lambda after: ask(after, limit=2))
    fresh = [end(ledger, number) for number in range(5)]
    assert told(ended) == fresh
    assert told(ended) == []
