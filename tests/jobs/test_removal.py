"""Jobs whose time has come, whatever else happens to them meanwhile."""

import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconflow.core.drift import DriftReport
from reconflow.jobs.claims import Claims
from reconflow.jobs.files import DataFolder
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.removal import keep_house, remove_job


@pytest.fixture
def files(tmp_path):
    return DataFolder(tmp_path / "data", min_free_bytes=0)


@pytest.fixture
def ledger(database_url):
    with Ledger.open(database_url, retention_s=0.0) as found:
        yield found


def stored(ledger, files, *, ended=True):
    job = Job(
        job_id=str(uuid.uuid4()), owner_id="anna", dataset_name="d", scene_name="s", created_at=time.time(),
        options={}, drift=DriftReport(),
    )  # fmt: skip
    ledger.add_job(job)
    files.run(job.job_id).mkdir(parents=True)
    if ended:
        ledger.request_cancel(job.job_id)
    return job.job_id


def kept(files):
    return {path.name: [inside.name for inside in path.iterdir()] for path in files.jobs.iterdir()}


def test_expired_jobs_go_from_ledger_and_disk_and_others_stay(ledger, files):
    gone, waiting = stored(ledger, files), stored(ledger, files, ended=False)
    keep_house(ledger=ledger, files=files)
    assert ledger.job(gone) is None
    assert ledger.job(waiting).stage == "queued"
    assert kept(files) == {waiting: ["run"]}


@pytest.mark.parametrize("stage", ["queued", "extracting"])
def test_a_job_that_is_tried_again_while_expired_ones_are_removed_stays_and_the_others_go(ledger, files, stage):
    again, gone = stored(ledger, files), stored(ledger, files)

    class Interrupted(Ledger):
        """Somebody is quick: between the list of expired jobs and their removal."""

        def expired(self, now):
            found = super().expired(now)
            self.retry(again)
            if stage == "extracting":
                assert Claims(self).take("runner", lease_s=60).job_id == again
            return sorted(found, key=lambda job: job.job_id != again)

    keep_house(ledger=Interrupted(ledger.engine, retention_s=0.0), files=files)
    assert (ledger.job(again).stage, ledger.job(gone)) == (stage, None)
    assert kept(files) == {again: ["run"]}


def test_a_job_whose_files_cannot_be_removed_holds_no_other_up_and_goes_later(ledger, files):
    first, _ = stored(ledger, files), stored(ledger, files)

    class Stubborn(DataFolder):
        def delete(self, job_id):
            if job_id == first:
                raise PermissionError("not yours")
            super().delete(job_id)

    keep_house(ledger=ledger, files=Stubborn(files.path, min_free_bytes=0))
    assert list(kept(files)) == [first]
    os.utime(files.job(first) / ".unsettled", (0, 0))
    keep_house(ledger=ledger, files=files)
    assert kept(files) == {}


def test_a_job_that_two_remove_at_once_is_removed(ledger, files):
    def remove(job_id, barrier):
        barrier.wait()
        remove_job(job_id, ledger=ledger, files=files)
        keep_house(ledger=ledger, files=files)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            job_id, barrier = stored(ledger, files), threading.Barrier(2)
            for done in [threads.submit(remove, job_id, barrier) for _ in range(2)]:
                done.result()
            assert kept(files) == {}
