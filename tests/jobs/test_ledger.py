"""Jobs as people see them."""

import threading
import time
import uuid

import pytest
from sqlalchemy import text

from reconflow.core.drift import DriftReport
from reconflow.errors import InputError, JobStateError, StoreError
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import RunnerState


def test_a_job_comes_back_as_it_was_stored(ledger, new):
    job = new(drift=DriftReport(warnings=("no baseline",)), options={"match": {"ratio": 0.75}})
    assert ledger.add_job(job) == (job, True)
    assert ledger.job(job.job_id) == job
    assert ledger.job(str(uuid.uuid4())) is None


def test_a_key_makes_one_job_per_owner_even_for_uploads_at_once(ledger, new):
    results = []
    barrier = threading.Barrier(4)

    def add():
        barrier.wait()
        results.append(ledger.add_job(new(), idempotency_key="k"))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.job_id for job, _ in results}) == 1
    assert [fresh for _, fresh in results].count(True) == 1
    assert ledger.add_job(new("ben"), idempotency_key="k")[1]


def test_pages_hold_every_job_once_though_times_are_equal(ledger, new):
    made = [new(at=1.0) for _ in range(5)] + [new(at=2.0), new("ben", at=2.0), new(at=3.0, dataset="e")]
    for job in made:
        ledger.add_job(job)
    found, cursor = [], None
    while True:
        page = ledger.jobs(owner_id="anna", dataset="d", cursor=cursor, limit=2)
        found += page.jobs
        cursor = page.next_cursor
        if cursor is None:
            break
    assert {job.job_id for job in found} == {j.job_id for j in made if j.owner_id == "anna" and j.dataset_name == "d"}
    assert len(found) == 6
    assert [job.created_at for job in found] == sorted((job.created_at for job in found), reverse=True)
    with pytest.raises(InputError, match="cursor"):
        ledger.jobs(cursor="zzz")


def test_a_running_job_is_not_deleted_and_a_deleted_one_takes_its_log_along(ledger, claims, new):
    job, other = new(), new()
    for each in (job, other):
        ledger.add_job(each)
    claims.take("r", lease_s=60)
    with pytest.raises(JobStateError, match="cancel it first"):
        ledger.delete(job.job_id)
    assert ledger.delete(other.job_id)
    assert not ledger.delete(other.job_id)
    assert ledger.events(other.job_id) == []
    assert ledger.is_cancel_requested(other.job_id)
    assert not ledger.is_cancel_requested(job.job_id)


def test_the_log_is_read_on_from_any_event(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    for number in range(5):
        claims.advance(job.job_id, "r", stage="matching", progress=30 + number, message=str(number))
    events = ledger.events(job.job_id)
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert ledger.events(job.job_id, after_id=events[2].id) == events[3:]
    assert ledger.events(job.job_id, limit=2) == events[:2]


def test_expired_jobs_and_those_that_ended_since_are_found(database_url, new):
    with Ledger.open(database_url, retention_s=100) as ledger:
        _look_for_expired(ledger, Claims(ledger), new)


def _look_for_expired(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    before = time.time()
    claims.finish(job.job_id, "r", stage="success", message="done")
    assert ledger.expired(before + 99) == []
    assert [found.job_id for found in ledger.expired(time.time() + 100)] == [job.job_id]
    assert [found.job_id for found in ledger.finished_after(before)] == [job.job_id]
    assert ledger.finished_after(ledger.latest_finish()) == []
    assert ledger.counts().stages == {"success": 1}


def test_a_runner_is_known_by_its_last_word(ledger):
    for device in ("", "cpu"):
        ledger.beat(RunnerState(runner="r", device=device, dashboard_url="", seen_at=time.time()))
    assert [runner.device for runner in ledger.runners(seen_since=time.time() - 5)] == ["cpu"]
    assert ledger.runners(seen_since=time.time() + 5) == []
    ledger.forget_runner("r")
    assert ledger.runners(seen_since=0) == []


def test_ten_thousand_jobs_are_listed_quickly(ledger):
    from sqlalchemy import insert

    from reconflow.jobs.tables import jobs

    blank = {
        "stage": "success",
        "progress": 100,
        "message": "",
        "n_images": 0,
        "n_points": 0,
        "options": {},
        "drift": {},
    }
    rest = {
        "attempt": 1,
        "cancel_requested": False,
        "webhook_tries": 0,
        "queued_at": 1.0,
        "scene_name": "s",
        "dataset_name": "d",
    }
    rows = [
        blank | rest | {"job_id": str(uuid.uuid4()), "owner_id": f"u{i % 7}", "created_at": float(i)}
        for i in range(10_000)
    ]
    with ledger.engine.begin() as connection:
        connection.execute(insert(jobs), rows)
    took = []
    for owner in ("u1", None, "u2", "u3", None):
        started = time.perf_counter()
        assert len(ledger.jobs(owner_id=owner, limit=50).jobs) == 50
        took.append(time.perf_counter() - started)
    assert sorted(took)[2] < 0.1


def test_a_database_that_fails_is_an_error_of_ours(ledger):
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE runners"))
    with pytest.raises(StoreError, match="does not answer"):
        ledger.forget_runner("x")
