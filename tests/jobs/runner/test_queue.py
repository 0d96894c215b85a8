"""Jobs that wait, and whose they are."""

import msgspec
import pytest

from reconflow.errors import JobStateError, NotFoundError


def test_one_user_does_not_see_anothers_jobs(desk):
    job_id = desk.upload()
    service = desk.service
    for ask in (service.job, service.cancel, service.delete, service.events, service.clusters, service.insights):
        with pytest.raises(NotFoundError):
            ask(desk.ben, job_id)
    assert desk.service.jobs(desk.ben).jobs == ()
    assert desk.service.job(msgspec.structs.replace(desk.ben, role="admin"), job_id).job_id == job_id


def test_the_same_key_makes_one_job_and_keeps_one_upload(desk):
    first, second = (desk.upload(idempotency_key="k") for _ in range(2))
    assert first == second
    assert [path.name for path in desk.service.files.jobs.iterdir()] == [first]
    assert list(desk.service.files.incoming.iterdir()) == []


def test_a_queued_job_is_cancelled_at_once_and_deleted_whole(desk):
    job_id = desk.upload()
    assert desk.service.cancel(desk.anna, job_id).stage == "cancelled"
    desk.service.delete(desk.anna, job_id)
    assert desk.service.ledger.job(job_id) is None
    assert list(desk.service.files.jobs.iterdir()) == []


def test_a_job_that_has_not_ended_has_no_result(desk):
    with pytest.raises(JobStateError, match="not finished"):
        desk.service.result(desk.anna, desk.upload())
