"""Resumable uploads when the web process is killed at any moment: a process of its own, kill -9, and the next one."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

import httpx
import pytest

import reconflow as rf
from reconflow.jobs.forms import UploadForm
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings

PASSWORD = "correct horse"
WEB = """
import sys
from pathlib import Path
import uvicorn
from reconflow.jobs.accounts import AccountBook
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from webapp.app import create_app

settings = load_settings({}, data_dir=Path(sys.argv[1]), min_free_bytes=1 << 20)
with Ledger.open(settings.ledger_url) as ledger:
    accounts = AccountBook(ledger)
    accounts.ensure_admin("admin", "correct horse")
    app = create_app(settings, service=JobService(settings, ledger), accounts=accounts)
    uvicorn.run(app, port=int(sys.argv[2]), log_config=None, access_log=False)
"""
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


class Web:
    """The web process on a data directory, which can be killed and started again."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-c", WEB, str(self.data_dir), str(self.port)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.post(f"{self.url}/auth/token", json={"username": "admin", "password": PASSWORD})
                return httpx.Client(
                    base_url=self.url, headers={"Authorization": f"Bearer {answer.json()['access_token']}"}, timeout=60
                )
            time.sleep(0.05)
        raise AssertionError("the web process is not up")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def killable(tmp_path):
    found = Web(tmp_path / "data")
    yield found
    found.kill()


def offset(client, url):
    return int(client.head(url, headers=TUS).headers["upload-offset"])


def begin(client, length):
    return client.post("/uploads", headers=TUS | {"Upload-Length": str(length)}).headers["location"]


def patch(client, url, at, content, headers=()):
    return client.patch(url, content=content, headers=PIECE | {"Upload-Offset": str(at)} | dict(headers))


def halting(content, size, reached):
    """The body of a piece that stops after ``size`` bytes, until its connection is lost."""
    yield content[:size]
    reached.wait(30)
    yield content[size:]


def test_an_upload_goes_on_where_it_was_after_the_web_process_was_killed_amid_a_piece(killable, small_zip):
    with killable.start() as client:
        url = begin(client, len(small_zip))
        killed, size = threading.Event(), len(small_zip) // 3

        def send():
            with contextlib.suppress(httpx.HTTPError):
                patch(client, url, 0, halting(small_zip, size, killed))

        sender = threading.Thread(target=send)
        sender.start()
        path = killable.data_dir / "uploads" / url.rpartition("/")[2] / "photos.zip"
        while path.stat().st_size < size:
            time.sleep(0.01)
        killable.kill()
        killed.set()
        sender.join()
    with killable.start() as client:
        assert offset(client, url) == size
        assert patch(client, url, size, small_zip[size:]).status_code == 204
        assert client.post(f"{url}/job").status_code == 202


def test_a_piece_with_a_checksum_is_taken_back_after_a_kill(killable, small_zip):
    with killable.start() as client:
        url = begin(client, len(small_zip))
        assert patch(client, url, 0, small_zip[:100]).status_code == 204
        killed = threading.Event()

        def send():
            with contextlib.suppress(httpx.HTTPError):
                checksum = {"Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}
                patch(client, url, 100, halting(small_zip[100:], 5000, killed), checksum)

        sender = threading.Thread(target=send)
        sender.start()
        path = killable.data_dir / "uploads" / url.rpartition("/")[2] / "photos.zip"
        while path.stat().st_size < 5100:
            time.sleep(0.01)
        killable.kill()
        killed.set()
        sender.join()
    with killable.start() as client:
        assert offset(client, url) == 100
        assert patch(client, url, 100, small_zip[100:]).status_code == 204
        assert path.read_bytes() == small_zip


@pytest.mark.slow
def test_a_kill_while_the_job_is_made_loses_nothing_and_doubles_nothing(killable, small_zip):
    client = killable.start()
    url = begin(client, len(small_zip))
    assert patch(client, url, 0, small_zip).status_code == 204
    for delay_s in (0.05, 0.3, 0.6):
        killer = threading.Timer(delay_s, killable.kill)
        killer.start()
        with contextlib.suppress(httpx.HTTPError):
            client.post(f"{url}/job")
        killer.join()
        client.close()
        client = killable.start()
    with client:
        first, second = (client.post(f"{url}/job").json() for _ in range(2))
        assert first == second
        assert [job["job_id"] for job in client.get("/jobs").json()["jobs"]] == [first["job_id"]]
        job = killable.data_dir / "jobs" / first["job_id"]
        assert (job / "upload.zip").read_bytes() == small_zip
        assert len(list((job / "run" / "work" / "photos").rglob("*.png"))) == 5


def test_a_crash_between_the_job_and_the_note_of_it_makes_no_second_job(tmp_path, monkeypatch, small_zip):
    settings = load_settings({}, data_dir=tmp_path, min_free_bytes=1 << 20)
    anna = User(user_id=str(uuid.uuid4()), name="anna", role="user", created_at=0.0)
    with Ledger.open(settings.ledger_url) as ledger:
        service = JobService(settings, ledger)
        upload = service.begin_upload(anna, length=len(small_zip), metadata="", form=UploadForm())
        with service.uploads.writer(anna.user_id, upload.upload_id, offset=0) as writer:
            writer.write(small_zip)
        with monkeypatch.context() as broken:
            broken.setattr(service.uploads, "became", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                service.end_upload(anna, upload.upload_id)
        job_id = JobService(settings, ledger).end_upload(anna, upload.upload_id)
        assert [job.job_id for job in ledger.jobs().jobs] == [job_id]
        assert not upload.path.exists()
        assert service.files.upload(job_id).read_bytes() == small_zip


def has_begun(data_dir):
    with contextlib.suppress(FileNotFoundError):  # the upload's folder gets its name meanwhile
        return any(path.stat().st_size for path in data_dir.glob("uploads/*/photos.zip"))
    return False


def test_the_client_goes_on_by_itself_when_the_web_process_is_killed_and_started_again(killable, tmp_path, small_zip):
    (tmp_path / "photos.zip").write_bytes(small_zip)
    killable.start().close()
    ids = []

    def upload():
        with rf.Client(killable.url, username="admin", password=PASSWORD) as client:
            ids.append(client.upload(tmp_path / "photos.zip", resumable=True))

    sender = threading.Thread(target=upload)
    sender.start()
    while sender.is_alive() and not has_begun(killable.data_dir):
        time.sleep(0.001)
    killable.kill()
    killable.start().close()
    sender.join()
    assert (killable.data_dir / "jobs" / ids[0] / "upload.zip").read_bytes() == small_zip
