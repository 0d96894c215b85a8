"""A service with real runner processes on a real ledger, and rendered photos to give it."""

import time
import zipfile
from contextlib import contextmanager

import pytest

from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from reconflow.jobs.states import FINISHED
from reconflow.world.photos import make_sample


class Desk:
    """A service, and two people who bring it photos."""

    anna = User(user_id="anna", name="anna", role="user", created_at=0.0)
    ben = User(user_id="ben", name="ben", role="user", created_at=0.0)
    small = '{"extract": {"max_keypoints": 1500, "long_edge_px": 640}}'

    def __init__(self, service, photos):
        self.service = service
        self.photos = photos

    def runner(self):
        """Return a runner's process, which works on the jobs until the context ends."""
        return RunnerProcess(self.service.settings)

    def upload(self, user=anna, **fields):
        with zipfile.ZipFile(path := self.service.incoming_path(), "w") as archive:
            for photo in sorted(self.photos.images.iterdir()):
                archive.write(photo, f"deep/{photo.name}")
        return self.service.accept_upload(user, path, options=self.small, **fields).job_id

    def wait(self, job_id, *, until=FINISHED, timeout_s=120):
        deadline = time.monotonic() + timeout_s
        ledger = self.service.ledger
        while time.monotonic() < deadline:
            job = ledger.job(job_id)
            if job.stage in until:
                return job
            time.sleep(0.02)
        raise AssertionError(f"still {job.stage} ({job.message}) after {timeout_s} s: {ledger.events(job_id)}")

    def wait_for_message(self, job_id, words, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while words not in (job := self.service.ledger.job(job_id)).message:
            assert time.monotonic() < deadline, job
            time.sleep(0.02)


@pytest.fixture(scope="package")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=1, size=(640, 480)
    )


@pytest.fixture(scope="package")
def open_desk(database, photos):
    """Opens desks, on SQLite or PostgreSQL, with their data in a folder."""

    @contextmanager
    def opened(kind, folder, **settings):
        with database(kind, folder) as url:
            given = {"data_dir": folder / "data", "database_url": url, "min_free_bytes": 1 << 20}
            chosen = load_settings({}, **{"lease_s": 3, "workers": 2, **given, **settings})
            with Ledger.open(chosen.ledger_url) as ledger:
                yield Desk(JobService(chosen, ledger), photos)

    return opened


@pytest.fixture
def desk(request, open_desk, tmp_path):
    """A desk of the test's own, on SQLite or the database that it asks for."""
    with open_desk(getattr(request, "param", "sqlite"), tmp_path) as found:
        yield found
