"""What becomes of jobs whose runner is killed, stopped or slow, or cannot reach the ledger: they succeed."""

import contextlib
import os
import signal
import time

import pytest

from reconflow.jobs.states import FINISHED

ON_BOTH = pytest.mark.parametrize("desk", ["sqlite", "postgresql"], indirect=True)


def runner_pids(desk):
    return [int(state.runner.split(":")[1]) for state in desk.service.ledger.runners(seen_since=time.time() - 60)]


@pytest.mark.slow
@pytest.mark.parametrize("stages", [("extracting", "triangulating"), ("matching", "decimating")])
def test_runners_killed_in_any_stage_lose_no_job(desk, stages):
    job_id, killed = desk.upload(), set()
    with desk.runner():
        for stage in stages:
            desk.wait(job_id, until=(stage, *FINISHED))
            for pid in set(runner_pids(desk)) - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        job = desk.wait(job_id)
    assert len(killed) == len(stages)
    assert (job.stage, job.registration_rate) == ("success", pytest.approx(6 / 7))
    assert not [path for path in desk.service.files.job(job_id).rglob("*") if path.name.startswith(".partial")]


@pytest.mark.slow
def test_a_runner_that_is_stopped_gives_its_job_back_uncounted(desk):
    job_id = desk.upload()
    with desk.runner():
        desk.wait(job_id, until=("matching", *FINISHED))
    left = desk.service.ledger.job(job_id)
    assert (left.stage, left.attempt) == ("queued", 0)
    with desk.runner():
        assert desk.wait(job_id).stage == "success"


@pytest.mark.slow
@ON_BOTH
def test_two_runners_share_the_jobs_and_run_none_twice(desk):
    jobs = [desk.upload(user=user) for user in (desk.anna, desk.ben, desk.anna)]
    with desk.runner(), desk.runner():
        assert [desk.wait(job_id).stage for job_id in jobs] == ["success"] * 3
    assert [desk.service.ledger.job(job_id).attempt for job_id in jobs] == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["matching", "triangulating"])
def test_a_runner_that_was_only_slow_costs_its_job_nothing(desk, stage):
    job_id = desk.upload()
    with desk.runner():
        desk.wait(job_id, until=(stage, *FINISHED))
        [slow] = runner_pids(desk)
        os.kill(slow, signal.SIGSTOP)
        try:
            with desk.runner():
                desk.wait_for_message(job_id, "the process that had the job before")
                os.kill(slow, signal.SIGCONT)
                job = desk.wait(job_id)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(slow, signal.SIGCONT)
    assert (job.stage, job.attempt, job.registration_rate) == ("success", 2, pytest.approx(6 / 7))


@ON_BOTH
def test_a_ledger_that_does_not_answer_for_a_while_costs_no_job(desk):
    job_id = desk.upload()
    with desk.runner():
        desk.wait(job_id, until=("matching", *FINISHED))
        with desk.service.ledger.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE jobs RENAME TO away")
        deadline = time.monotonic() + 120
        while not desk.service.files.result(job_id).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)  # in which the end of the job is told in vain
        with desk.service.ledger.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO jobs")
        job = desk.wait(job_id)
        assert desk.service.device() == "cpu"
    assert (job.stage, job.attempt, job.registration_rate) == ("success", 1, pytest.approx(6 / 7))
