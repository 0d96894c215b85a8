"""What is left of a job when a process of the service is killed, or the disk is full: all of it, in the end."""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile

import httpx
import psutil
import pytest

import reconflow as rf
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.states import ACTIVE, FINISHED
from reconflow.world.photos import make_sample

pytestmark = pytest.mark.slow

SMALL = {"extract": {"max_keypoints": 1500, "long_edge_px": 640}}
SETTINGS = {
    "RECONFLOW_ADMIN_PASSWORD": "correct horse",
    "RECONFLOW_LEASE_S": "3",
    "RECONFLOW_MIN_FREE_BYTES": "1000000",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480)
    ).images


@pytest.fixture
def ledger(tmp_path):
    """The ledger of the service, looked into from outside."""
    with Ledger.open(f"sqlite:///{tmp_path / 'data' / 'reconflow.db'}") as found:
        yield found


def signed_in(serving):
    return rf.Client(serving.url, username="admin", password="correct horse")


def ask(serving, method, path):
    login = {"username": "admin", "password": "correct horse"}
    token = httpx.post(f"{serving.url}/auth/token", json=login).json()["access_token"]
    return httpx.request(method, serving.url + path, headers={"Authorization": f"Bearer {token}"}).raise_for_status()


def upload(serving, photos, **options):
    with signed_in(serving) as client:
        return client.upload(photos, options=SMALL | options)


def wait_until(condition, timeout_s=90, every_s=0.005):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(every_s)
    return found


def ended(ledger, job_id, serving):
    with contextlib.suppress(AssertionError):
        return wait_until(lambda: (job := ledger.job(job_id)).stage in FINISHED and job, timeout_s=120, every_s=0.05)
    raise AssertionError(f"{ledger.job(job_id)}\n{serving.said}")


def processes_below(serving, words):
    """Return the living processes of a service whose command line holds ``words``."""
    found = []
    for process in psutil.Process(serving.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if words in " ".join(process.cmdline()):
                found.append(process)
    return found


def leftovers(data):
    """Return files that only a process at work should have."""
    return [path for path in data.rglob("*") if path.name.startswith((".partial", ".deleted", ".unsettled"))]


def test_an_upload_that_the_web_process_did_not_survive_leaves_nothing(serve, tmp_path):
    first = serve(**SETTINGS)
    first.wait_until_up()
    login = {"username": "admin", "password": "correct horse"}
    token = httpx.post(f"{first.url}/auth/token", json=login).json()["access_token"]
    host, port = first.url.removeprefix("http://").split(":")
    head = (
        f"POST /upload HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 10000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    )
    incoming = tmp_path / "data" / "incoming"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + os.urandom(2_000_000))
        wait_until(lambda: any(path.stat().st_size for path in incoming.glob("*upload.zip")))
        assert leftovers(tmp_path / "data")
        first.end(signal.SIGKILL)  # its runner, if still starting, may be the one that tidies up
    second = serve(**SETTINGS)
    second.wait_until_up()
    wait_until(lambda: not leftovers(tmp_path / "data"))
    with signed_in(second) as client:
        assert client.jobs() == []


def test_a_job_survives_a_web_process_that_is_killed_in_every_stage(serve, photos, tmp_path):
    serving = serve("--workers", "2", **SETTINGS)
    serving.wait_until_up("/ready")
    job_id = upload(serving, photos)
    folder = tmp_path / "data" / "jobs" / job_id
    with Ledger.open(f"sqlite:///{tmp_path / 'data' / 'reconflow.db'}") as ledger:
        for stage in ACTIVE:
            wait_until(lambda stage=stage: ledger.job(job_id).stage == stage)
            serving.end(signal.SIGKILL)
            serving = serve("--workers", "2", **SETTINGS)
        wait_until(lambda: list(folder.glob(".partial-*-result")), every_s=0.0005)
        serving.end(signal.SIGKILL)
        serving = serve("--workers", "2", **SETTINGS)
        job = ended(ledger, job_id, serving)
        assert (job.stage, job.registration_rate) == ("success", 1.0)
        claims = [event for event in ledger.events(job_id) if event.message == "Unpacking and checking the photos."]
        assert len(claims) >= 5
    wait_until(lambda: not leftovers(tmp_path / "data"))
    with zipfile.ZipFile(io.BytesIO(ask(serving, "GET", f"/download/jobs/{job_id}").content)) as archive:
        assert archive.testzip() is None


def test_a_job_survives_the_death_of_a_worker(serve, photos, ledger):
    serving = serve("--workers", "2", **SETTINGS)
    serving.wait_until_up("/ready")
    job_id = upload(serving, photos)
    wait_until(lambda: ledger.job(job_id).stage == "matching")
    workers = processes_below(serving, "multiprocessing.spawn")
    assert len(workers) == 2
    workers[0].kill()
    job = ended(ledger, job_id, serving)
    assert (job.stage, job.registration_rate, job.attempt) == ("success", 1.0, 1)


def test_a_mapper_that_is_killed_is_told_of_and_a_retry_mends_it(serve, photos, ledger):
    serving = serve("--workers", "2", **SETTINGS)
    serving.wait_until_up("/ready")
    job_id = upload(serving, photos)
    [mapper] = wait_until(lambda: processes_below(serving, "reconflow.pipeline.mapper"))
    mapper.kill()
    job = ended(ledger, job_id, serving)
    assert (job.stage, job.error_code) == ("failed", "out_of_memory")
    assert "the mapper was killed" in job.error
    ask(serving, "POST", f"/jobs/{job_id}/retry")
    assert ended(ledger, job_id, serving).stage == "success"


@contextlib.contextmanager
def cluster(port):
    """A scheduler on a fixed port and a worker that maps too, as started by hand."""
    address = f"tcp://127.0.0.1:{port}"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    workers = subprocess.Popen(
        [sys.executable, "-m", "reconflow.cli", "work", address, "--workers", "1", "--mapper"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield scheduler
    finally:
        scheduler.kill()
        scheduler.wait()
        workers.wait(timeout=60)  # they end when the scheduler goes away


def test_a_job_survives_the_death_of_the_scheduler(serve, photos, ledger):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with cluster(port) as scheduler:
        serving = serve("--scheduler", f"tcp://127.0.0.1:{port}", **SETTINGS)
        serving.wait_until_up("/ready")
        job_id = upload(serving, photos)
        wait_until(lambda: ledger.job(job_id).stage == "matching")
        scheduler.kill()
        wait_until(lambda: httpx.get(f"{serving.url}/ready").status_code == 503, every_s=0.2)
    with cluster(port):
        job = ended(ledger, job_id, serving)
        assert (job.stage, job.attempt) == ("success", 2)
        serving.end()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 40 MB at the service's data directory."""
    data = tmp_path / "data"
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", data], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield data
    subprocess.run(["umount", "--lazy", data], check=True)


def fill(folder, leave_bytes=0):
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while shutil.disk_usage(folder).free > leave_bytes:
            file.write(b"\0" * 65_536)


def test_a_job_fails_before_the_stage_that_finds_too_little_room(small_disk, serve, photos):
    serving = serve("--workers", "2", **SETTINGS | {"RECONFLOW_MIN_FREE_BYTES": "12000000"})
    serving.wait_until_up("/ready")
    job_id = upload(serving, photos)
    with Ledger.open(f"sqlite:///{small_disk / 'reconflow.db'}") as ledger:
        wait_until(lambda: ledger.job(job_id).stage == "matching")
        fill(small_disk, leave_bytes=8_000_000)
        job = ended(ledger, job_id, serving)
        assert (job.stage, job.error_code) == ("failed", "disk_full")
        assert "MB of disk space are missing" in job.error
        (small_disk / "filler").unlink()
        ask(serving, "POST", f"/jobs/{job_id}/retry")
        assert ended(ledger, job_id, serving).stage == "success"


def test_a_full_disk_refuses_uploads_and_fails_jobs_honestly(small_disk, serve, photos):
    serving = serve("--workers", "2", **SETTINGS)
    serving.wait_until_up("/ready")
    job_id = upload(serving, photos)
    with Ledger.open(f"sqlite:///{small_disk / 'reconflow.db'}") as ledger:
        with signed_in(serving) as client:
            client.jobs()
            wait_until(lambda: ledger.job(job_id).stage == "matching")
            fill(small_disk)
            with pytest.raises(rf.errors.ReconflowError, match="disk space"):
                client.upload(photos, options=SMALL)
        time.sleep(2)
        (small_disk / "filler").unlink()
        job = ended(ledger, job_id, serving)
        assert (job.stage, job.error_code) in (("success", None), ("failed", "disk_full"))
        with signed_in(serving) as client:
            if job.stage == "failed":
                ask(serving, "POST", f"/jobs/{job_id}/retry")
            assert client.wait(job_id, progress=False, timeout_s=90)["stage"] == "success"
    wait_until(lambda: not leftovers(small_disk))
