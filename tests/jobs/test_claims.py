"""What runners do with jobs: claim them, get on with them, end them."""

import subprocess
import sys
import time

import pytest

from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.outbox import Outbox
from reconflow.jobs.states import FINISHED, MAX_ATTEMPTS


def test_a_claim_holds_until_its_lease_runs_out(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    first = claims.take("r1", lease_s=0.2)
    assert (first.job_id, first.stage, first.attempt) == (job.job_id, "extracting", 1)
    assert claims.take("r2", lease_s=10) is None
    time.sleep(0.25)
    second = claims.take("r2", lease_s=10)
    assert (second.job_id, second.attempt) == (job.job_id, 2)
    assert not claims.renew(job.job_id, "r1", lease_s=10)
    assert not claims.advance(job.job_id, "r1", stage="matching", progress=50, message="late")
    assert not claims.finish(job.job_id, "r1", stage="success", message="late")
    assert claims.renew(job.job_id, "r2", lease_s=10)


def test_a_claim_passes_over_what_it_is_told_to(ledger, claims, new):
    first, second = new(at=1), new(at=2)
    for job in (first, second):
        ledger.add_job(job)
    assert claims.take("a", lease_s=0, besides={first.job_id}).job_id == second.job_id
    assert claims.take("a", lease_s=60, besides={first.job_id, second.job_id}) is None
    assert claims.take("a", lease_s=60, besides={first.job_id}).job_id == second.job_id


def test_a_job_that_kills_its_runners_fails_in_the_end(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    for _ in range(MAX_ATTEMPTS):
        assert claims.take("r", lease_s=-1) is not None
    assert claims.take("r", lease_s=-1) is None
    ended = ledger.job(job.job_id)
    assert (ended.stage, ended.error_code) == ("failed", "worker_lost")


def test_jobs_that_got_further_go_first_then_who_has_fewest_then_the_oldest(ledger, claims, new):
    started = new("anna", at=5.0)
    ledger.add_job(started)
    claims.take("dead", lease_s=-1)
    waiting = [new("anna", at=1.0), new("anna", at=2.0), new("ben", at=3.0)]
    for job in waiting:
        ledger.add_job(job)
    order = [claims.take("r", lease_s=60).job_id for _ in range(4)]
    assert order == [started.job_id, waiting[2].job_id, waiting[0].job_id, waiting[1].job_id]


def test_a_job_given_back_goes_on_after_lost_ones_and_before_others_begin(ledger, claims, new):
    begun, lost, fresh = new(at=2.0), new(at=3.0), new(at=1.0)
    ledger.add_job(begun)
    claims.take("r", lease_s=60)
    claims.advance(begun.job_id, "r", stage="triangulating", progress=75, message="m")
    ledger.add_job(lost)
    claims.take("dead", lease_s=-1)
    ledger.add_job(fresh)
    claims.release(begun.job_id, "r")
    order = [claims.take("r", lease_s=60).job_id for _ in range(3)]
    assert order == [lost.job_id, begun.job_id, fresh.job_id]


def test_a_retried_job_waits_from_now_on_and_at_the_end(ledger, claims, new):
    old, other = new(at=1.0), new(at=time.time() - 50)
    for job in (old, other):
        ledger.add_job(job)
    assert ledger.counts().oldest_queued_s > 1e9
    ledger.request_cancel(old.job_id)
    ledger.retry(old.job_id)
    assert 50 <= ledger.counts().oldest_queued_s < 100
    assert claims.take("r", lease_s=60).job_id == other.job_id


@pytest.mark.parametrize("end", ["cancelled while queued", "cancelled while lost", "lost", "done"])
def test_however_a_job_ends_it_expires_and_its_webhook_is_due(database_url, end, new):
    with Ledger.open(database_url, retention_s=100) as ledger:
        claims = Claims(ledger)
        job = new(webhook_url="http://127.0.0.1:9/")
        ledger.add_job(job)
        if end == "done":
            claims.take("r", lease_s=60)
            claims.finish(job.job_id, "r", stage="success", message="done")
        for _ in range({"cancelled while lost": 1, "lost": MAX_ATTEMPTS}.get(end, 0)):
            claims.take("r", lease_s=-1)
        if end.startswith("cancelled"):
            ledger.request_cancel(job.job_id)
        assert claims.take("r", lease_s=60) is None
        ended = ledger.job(job.job_id)
        assert ended.stage in FINISHED
        assert ended.expires_at == pytest.approx(ended.finished_at + 100)
        outbox = Outbox(ledger)
        letter = outbox.take(hold_s=60)
        assert (letter.job, letter.tries) == (ended, 0)
        assert outbox.take(hold_s=60) is None
        outbox.done(letter, again_in_s=-1)
        assert outbox.take(hold_s=60).tries == 1
        outbox.done(letter)
        assert outbox.take(hold_s=60) is None


def test_a_job_without_a_webhook_has_none_to_send(ledger, new):
    job = new()
    ledger.add_job(job)
    ledger.request_cancel(job.job_id)
    assert Outbox(ledger).take(hold_s=60) is None


def test_progress_never_goes_back_though_stages_do(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    claims.advance(job.job_id, "r", stage="triangulating", progress=75, message="m")
    claims.advance(job.job_id, "r", stage="matching", progress=40, message="again")
    now = ledger.job(job.job_id)
    assert (now.stage, now.progress, now.message) == ("matching", 75, "again")


def test_a_job_given_back_waits_again_and_its_attempt_is_not_counted(ledger, claims, new):
    job = new(at=1.0)
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    claims.advance(job.job_id, "r", stage="triangulating", progress=75, message="m")
    assert not claims.release(job.job_id, "other")
    assert claims.release(job.job_id, "r")
    back = ledger.job(job.job_id)
    assert (back.stage, back.progress, back.attempt) == ("queued", 0, 0)
    assert ledger.events(job.job_id)[-1].progress == 0
    assert ledger.counts().oldest_queued_s < 60


def test_what_was_cancelled_while_its_runner_was_dead_is_not_started_again(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    claims.take("dead", lease_s=-1)
    assert ledger.request_cancel(job.job_id).cancel_requested
    assert claims.take("r", lease_s=60) is None
    assert ledger.job(job.job_id).stage == "cancelled"


def test_what_was_asked_to_end_is_cancelled_whatever_it_came_to_meanwhile(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    ledger.request_cancel(job.job_id)
    assert claims.finish(job.job_id, "r", stage="success", message="done", facts={"n_points": 3}) == "cancelled"
    ended = ledger.job(job.job_id)
    assert (ended.stage, ended.error_code, ended.n_points) == ("cancelled", "cancelled", 0)


def test_a_retry_starts_from_nothing_counted(ledger, claims, new):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    claims.finish(
        job.job_id,
        "r",
        stage="failed",
        message="hint",
        error="why",
        error_code="no_model",
        facts={"n_points": 3, "registration_rate": 0.5},
    )
    failed = ledger.job(job.job_id)
    assert (failed.error, failed.error_code, failed.progress, failed.n_points) == ("why", "no_model", 0, 3)
    again = ledger.retry(job.job_id, options={"b": 2})
    assert (again.stage, again.attempt, again.error, again.finished_at, again.options) == (
        "queued",
        0,
        None,
        None,
        {"b": 2},
    )
    assert (again.n_points, again.registration_rate) == (0, None)
    assert ledger.retry(job.job_id).stage == "queued"


_CLAIMER = """
import sys
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    while (job := Claims(ledger).take(sys.argv[2], lease_s=60)) is not None:
        print(job.job_id, flush=True)
"""


def test_processes_that_claim_at_once_never_get_the_same_job(ledger, database_url, new):
    for _ in range(30):
        ledger.add_job(new())
    command = [sys.executable, "-c", _CLAIMER, database_url]
    processes = [subprocess.Popen([*command, f"r{i}"], stdout=subprocess.PIPE, text=True) for i in range(3)]
    claimed = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    everything = [job_id for part in claimed for job_id in part]
    assert len(everything) == len(set(everything)) == 30
