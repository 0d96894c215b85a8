"""Jobs that are looked for, in real databases."""

import time
import uuid

import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert

from reconflow.core.drift import DriftReport
from reconflow.errors import InputError
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.listing import JobFilter, check_filter
from reconflow.jobs.records import Job
from reconflow.jobs.tables import jobs

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def made(ledger):
    """Puts a job into the ledger and returns its id."""

    def make(dataset, scene="s", *, owner="nobody", at=1.0, stage="queued"):
        named = {"dataset_name": dataset, "scene_name": scene, "owner_id": owner, "stage": stage}
        job = Job(job_id=str(uuid.uuid4()), created_at=at, options={}, drift=DriftReport(), **named)
        ledger.add_job(job)
        return job.job_id

    return make


def found(ledger, **wanted):
    return [job.dataset_name for job in ledger.jobs(**wanted).jobs]


def test_every_word_of_a_search_stands_somewhere_in_any_case(ledger, made):
    made("Old Mill", "north", at=1)
    made("Mühle", "NORTH side", at=2)
    job_id = made("100 % done_", at=3)
    assert found(ledger, search="mill NORTH") == ["Old Mill"]
    assert found(ledger, search="nor") == ["Mühle", "Old Mill"]
    assert found(ledger, search="MÜHLE") == ["Mühle"]
    assert found(ledger, search=job_id[:8].upper()) == ["100 % done_"]
    assert found(ledger, search="% done_") == ["100 % done_"]
    assert found(ledger, search="north mill castle") == []
    assert len(found(ledger, search="  ")) == 3


def test_the_oldest_of_many_is_found_though_a_page_is_small(ledger, made):
    made("castle", at=0)
    for number in range(30):
        made("yard", at=1.0 + number)
    page = ledger.jobs(search="castle", limit=10)
    assert [job.dataset_name for job in page.jobs] == ["castle"]
    assert page.next_cursor is None


def test_several_stages_are_asked_for_at_once(ledger, made):
    for at, stage in enumerate(("queued", "matching", "failed", "success")):
        made(stage, at=float(at), stage=stage)
    assert found(ledger, stages=("queued", "matching")) == ["matching", "queued"]
    assert found(ledger, stages=("failed",)) == ["failed"]
    assert len(found(ledger, stages=())) == 4


def test_owners_are_found_by_name_only_where_everybodys_jobs_are_asked_for(ledger, made):
    accounts = AccountBook(ledger, hasher=CHEAP)
    anna, ben = (accounts.add_user(name, "correct horse") for name in ("Anna", "ben"))
    made("yard", owner=anna.user_id, at=1)
    made("annas castle", owner=ben.user_id, at=2)
    assert found(ledger, search="anna") == ["annas castle", "yard"]
    assert found(ledger, search="anna", owner_id=ben.user_id) == ["annas castle"]
    assert found(ledger, search="anna", owner_id=anna.user_id) == []
    assert accounts.names({anna.user_id, ben.user_id, "gone"}) == {anna.user_id: "Anna", ben.user_id: "ben"}


@pytest.mark.parametrize("wanted", [{"search": "x" * 101}, {"search": "a\0b"}, {"dataset": ""}])
def test_what_cannot_be_asked_for_is_refused(wanted):
    with pytest.raises(InputError):
        check_filter(JobFilter(**wanted))


def test_ten_thousand_jobs_are_searched_at_once(ledger):
    blank = {"options": {}, "drift": {}, "attempt": 0, "cancel_requested": False, "webhook_tries": 0, "queued_at": 1.0}
    blank |= {"stage": "queued", "progress": 0.0, "message": "", "n_images": 0, "n_points": 0, "scene_name": "s"}
    rows = [
        blank | {"job_id": str(uuid.uuid4()), "owner_id": "u", "dataset_name": f"yard-{i}", "created_at": float(i)}
        for i in range(10_000)
    ]
    with ledger.engine.begin() as connection:
        connection.execute(insert(jobs), rows)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        assert (
            found(ledger, search="YARD-17 s")
            == [f"yard-{i}" for i in range(9_999, -1, -1) if str(i).startswith("17")][:50]
        )
        took.append(time.perf_counter() - started)
    assert min(took) < 0.5
