import subprocess
import sys
import threading
import time
import uuid

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from reconflow.core.drift import DriftReport
from reconflow.errors import ConfigError, InputError, JobStateError, StoreError
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.outbox import Outbox
from reconflow.jobs.records import Job, RunnerState
from reconflow.jobs.states import FINISHED, MAX_ATTEMPTS
from reconflow.jobs.tables import metadata
from reconflow.jobs.wishes import Wishes


def new(owner="anna", *, at=None, dataset="d", **changes):
    fields = {"created_at": time.time() if at is None else at, "options": {"a": 1}, "drift": DriftReport()}
    names = {"owner_id": owner, "dataset_name": dataset, "scene_name": "s"}
    return Job(job_id=str(uuid.uuid4()), **names, **(fields | changes))


def test_a_job_comes_back_as_it_was_stored(ledger):
    job = new(drift=DriftReport(warnings=("no baseline",)), options={"match": {"ratio": 0.75}})
    assert ledger.add_job(job) == (job, True)
    assert ledger.job(job.job_id) == job
    assert ledger.job(str(uuid.uuid4())) is None


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(ledger):
    with ledger.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_changes_nothing_and_a_newer_schema_is_refused(database_url):
    with Ledger.open(database_url) as ledger:
        job = new()
        ledger.add_job(job)
    with Ledger.open(database_url) as ledger:
        assert ledger.job(job.job_id) == job
        with ledger.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer reconflow"):
        Ledger.open(database_url)


def test_a_ledger_of_the_first_schema_keeps_its_jobs(database_url):
    with Ledger.open(database_url) as ledger:
        job = new(at=5.0)
        ledger.add_job(job)
        told = ledger.events(job.job_id)
        with ledger.engine.begin() as connection:
            _downgrade(connection)
    with Ledger.open(database_url) as ledger:
        assert ledger.job(job.job_id) == job
        assert ledger.events(job.job_id) == told
        assert told
        assert ledger.counts().oldest_queued_s > 1e9
        with ledger.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def _downgrade(connection):
    """Take away what later migrations added."""
    _name_wishes_turns(connection)
    connection.execute(text("DELETE FROM turns"))
    for name in ("wanted_by", "due_at"):
        connection.execute(text(f"ALTER TABLE turns DROP COLUMN {name}"))
    connection.execute(text("ALTER TABLE runners DROP COLUMN machines"))
    connection.execute(text("ALTER TABLE users DROP COLUMN tokens_from"))
    for name in ("ix_jobs_stage_queued_at", "ix_jobs_webhook_due_at"):
        connection.execute(text(f"DROP INDEX {name}"))
    for name in ("queued_at", "webhook_due_at", "webhook_tries"):
        connection.execute(text(f"ALTER TABLE jobs DROP COLUMN {name}"))
    connection.execute(text("CREATE INDEX ix_jobs_stage_created_at ON jobs (stage, created_at)"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def _name_wishes_turns(connection):
    connection.execute(text("ALTER TABLE wishes RENAME TO turns"))
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE turns RENAME CONSTRAINT pk_wishes TO pk_turns"))


def test_a_wish_outlives_the_change_of_its_tables_name(database_url):
    with Ledger.open(database_url) as ledger:
        job, _ = ledger.add_job(new(), wants_retraining=True)
        with ledger.engine.begin() as connection:
            _name_wishes_turns(connection)
            connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))
    with Ledger.open(database_url) as ledger:
        assert Wishes(ledger).take(cooldown_s=60, hold_s=60) == job.job_id
        with ledger.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("url", ["nonsense", "oracle+none://x", "postgresql+psycopg://127.0.0.1:9/none"])
def test_a_wrong_database_is_refused_with_a_sentence(url):
    with pytest.raises(ConfigError):
        Ledger.open(url)


def test_a_key_makes_one_job_per_owner_even_for_uploads_at_once(ledger):
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


def test_pages_hold_every_job_once_though_times_are_equal(ledger):
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


def test_a_claim_holds_until_its_lease_runs_out(ledger, claims):
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


def test_a_claim_passes_over_what_it_is_told_to(ledger, claims):
    first, second = new(at=1), new(at=2)
    for job in (first, second):
        ledger.add_job(job)
    assert claims.take("a", lease_s=0, besides={first.job_id}).job_id == second.job_id
    assert claims.take("a", lease_s=60, besides={first.job_id, second.job_id}) is None
    assert claims.take("a", lease_s=60, besides={first.job_id}).job_id == second.job_id


def test_a_job_that_kills_its_runners_fails_in_the_end(ledger, claims):
    job = new()
    ledger.add_job(job)
    for _ in range(MAX_ATTEMPTS):
        assert claims.take("r", lease_s=-1) is not None
    assert claims.take("r", lease_s=-1) is None
    ended = ledger.job(job.job_id)
    assert (ended.stage, ended.error_code) == ("failed", "worker_lost")


def test_jobs_that_got_further_go_first_then_who_has_fewest_then_the_oldest(ledger, claims):
    started = new("anna", at=5.0)
    ledger.add_job(started)
    claims.take("dead", lease_s=-1)
    waiting = [new("anna", at=1.0), new("anna", at=2.0), new("ben", at=3.0)]
    for job in waiting:
        ledger.add_job(job)
    order = [claims.take("r", lease_s=60).job_id for _ in range(4)]
    assert order == [started.job_id, waiting[2].job_id, waiting[0].job_id, waiting[1].job_id]


def test_a_job_given_back_goes_on_after_lost_ones_and_before_others_begin(ledger, claims):
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


def test_a_retried_job_waits_from_now_on_and_at_the_end(ledger, claims):
    old, other = new(at=1.0), new(at=time.time() - 50)
    for job in (old, other):
        ledger.add_job(job)
    assert ledger.counts().oldest_queued_s > 1e9
    ledger.request_cancel(old.job_id)
    ledger.retry(old.job_id)
    assert 50 <= ledger.counts().oldest_queued_s < 100
    assert claims.take("r", lease_s=60).job_id == other.job_id


@pytest.mark.parametrize("end", ["cancelled while queued", "cancelled while lost", "lost", "done"])
def test_however_a_job_ends_it_expires_and_its_webhook_is_due(database_url, end):
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


def test_a_job_without_a_webhook_has_none_to_send(ledger):
    job = new()
    ledger.add_job(job)
    ledger.request_cancel(job.job_id)
    assert Outbox(ledger).take(hold_s=60) is None


def test_progress_never_goes_back_though_stages_do(ledger, claims):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    claims.advance(job.job_id, "r", stage="triangulating", progress=75, message="m")
    claims.advance(job.job_id, "r", stage="matching", progress=40, message="again")
    now = ledger.job(job.job_id)
    assert (now.stage, now.progress, now.message) == ("matching", 75, "again")


def test_a_job_given_back_waits_again_and_its_attempt_is_not_counted(ledger, claims):
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


def test_what_was_cancelled_while_its_runner_was_dead_is_not_started_again(ledger, claims):
    job = new()
    ledger.add_job(job)
    claims.take("dead", lease_s=-1)
    assert ledger.request_cancel(job.job_id).cancel_requested
    assert claims.take("r", lease_s=60) is None
    assert ledger.job(job.job_id).stage == "cancelled"


def test_what_was_asked_to_end_is_cancelled_whatever_it_came_to_meanwhile(ledger, claims):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    ledger.request_cancel(job.job_id)
    assert claims.finish(job.job_id, "r", stage="success", message="done", facts={"n_points": 3}) == "cancelled"
    ended = ledger.job(job.job_id)
    assert (ended.stage, ended.error_code, ended.n_points) == ("cancelled", "cancelled", 0)


def test_a_retry_starts_from_nothing_counted(ledger, claims):
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


def test_a_running_job_is_not_deleted_and_a_deleted_one_takes_its_log_along(ledger, claims):
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


def test_the_log_is_read_on_from_any_event(ledger, claims):
    job = new()
    ledger.add_job(job)
    claims.take("r", lease_s=60)
    for number in range(5):
        claims.advance(job.job_id, "r", stage="matching", progress=30 + number, message=str(number))
    events = ledger.events(job.job_id)
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert ledger.events(job.job_id, after_id=events[2].id) == events[3:]
    assert ledger.events(job.job_id, limit=2) == events[:2]


def test_expired_jobs_and_those_that_ended_since_are_found(database_url):
    with Ledger.open(database_url, retention_s=100) as ledger:
        _look_for_expired(ledger, Claims(ledger))


def _look_for_expired(ledger, claims):
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


_CLAIMER = """
import sys
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    while (job := Claims(ledger).take(sys.argv[2], lease_s=60)) is not None:
        print(job.job_id, flush=True)
"""


def test_processes_that_claim_at_once_never_get_the_same_job(ledger, database_url):
    for _ in range(30):
        ledger.add_job(new())
    command = [sys.executable, "-c", _CLAIMER, database_url]
    processes = [subprocess.Popen([*command, f"r{i}"], stdout=subprocess.PIPE, text=True) for i in range(3)]
    claimed = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    everything = [job_id for part in claimed for job_id in part]
    assert len(everything) == len(set(everything)) == 30


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
