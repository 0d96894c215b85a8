"""How jobs end otherwise: cancelled, out of time, or with nothing to show."""

import pytest

from reconflow.errors import JobStateError, NotFoundError
from reconflow.jobs.states import FINISHED


@pytest.fixture(scope="module")
def desk(open_desk, tmp_path_factory):
    """A desk with a runner, which all tests share."""
    with open_desk("sqlite", tmp_path_factory.mktemp("desk")) as found, found.runner():
        yield found


def test_photos_that_share_nothing_fail_with_a_code_and_a_hint(desk, noise):
    path = noise.pack(desk.service.incoming_path(), noise.entries(4))
    job_id = desk.service.accept_upload(desk.anna, path, options=desk.small).job_id
    job = desk.wait(job_id)
    assert (job.stage, job.error_code, job.progress) == ("failed", "no_matches", 0)
    assert "overlap" in job.message
    assert not desk.service.result(desk.anna, job_id).clusters()
    with pytest.raises(NotFoundError, match="no point cloud"):
        desk.service.result(desk.anna, job_id).zip_of_plys()


@pytest.mark.parametrize("stage", ["matching", "triangulating", "decimating"])
def test_a_job_is_cancelled_within_seconds_and_goes_on_when_it_is_retried(desk, stage):
    job_id = desk.upload()
    desk.wait(job_id, until=(stage, *FINISHED))
    desk.service.cancel(desk.anna, job_id)
    assert desk.wait(job_id, timeout_s=10).stage == "cancelled"
    with pytest.raises(JobStateError, match="already ended"):
        desk.service.cancel(desk.anna, job_id)
    desk.service.retry(desk.anna, job_id)
    assert desk.wait(job_id).stage == "success"
    messages = [event.message for event in desk.service.events(desk.anna, job_id)]
    assert any("stored already" in message for message in messages)


def test_a_job_that_is_cancelled_while_photos_are_extracted_makes_room_for_the_next(desk, noise):
    entries = [(f"{seed}.png", noise.picture(seed, (1000, 800))) for seed in range(40)]
    path = noise.pack(desk.service.incoming_path(), entries)
    long = desk.service.accept_upload(desk.anna, path, options='{"extract": {"max_keypoints": 8000}}').job_id
    desk.wait_for_message(long, "extract: ")
    desk.service.cancel(desk.anna, long)
    assert desk.wait(long, timeout_s=10).stage == "cancelled"
    assert desk.wait(desk.upload()).stage == "success"
    told = [event.message for event in desk.service.events(desk.anna, long)]
    assert not any(message.startswith("extract: done") for message in told)


def test_a_job_that_takes_too_long_fails_with_a_time_out(open_desk, tmp_path):
    with open_desk("sqlite", tmp_path, workers=1, job_timeout_s=1) as hasty:
        job_id = hasty.upload()
        with hasty.runner():
            job = hasty.wait(job_id)
    assert (job.stage, job.error_code) == ("failed", "timeout")
