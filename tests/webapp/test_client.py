"""The client against real servers, behind connections that break."""

import contextlib
import io
import os
import random
import select
import socket
import threading
import time
import zipfile

import pytest

import reconflow as rf
from reconflow.errors import InputError, JobStateError, JobTimeoutError, StoreError, UnreachableError

PASSWORD = "correct horse"


class Cable:
    """A connection to a service that breaks after every ``limit`` bytes from the client.

    Its first ``away`` connections are those of a proxy whose service is away; its first ``lost`` answers never arrive:
    they end the connection.
    """

    def __init__(self, url, limit, lost=0, away=0):
        host, port = url.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._limit = limit
        self._lost = lost
        self.away = away
        self.sent = 0
        self.breaks = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(client,)))
                self._threads[-1].start()

    def _carry(self, client):
        carried = 0
        if self.away:
            self.away -= 1
            with client:
                client.recv(1 << 16)
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
            return
        with client, socket.create_connection(self._target) as service, contextlib.suppress(OSError):
            while carried < self._limit:
                ready, _, _ = select.select([client, service], [], [], 10)
                for end in ready:
                    block = end.recv(min(4096, self._limit - carried))
                    if not block:
                        return
                    if end is service and self._lost:
                        self._lost -= 1
                        return
                    (service if end is client else client).sendall(block)
                    if end is client:
                        carried += len(block)
                        self.sent += len(block)
            self.breaks += 1

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def cable(web):
    made = []

    def lay(limit=1 << 30, **trouble):
        made.append(Cable(web.url, limit, **trouble))
        return made[-1]

    yield lay
    for each in made:
        each.close()


@pytest.fixture
def anna(web):
    """Her key, for scripts."""
    return web.anna.post("/auth/keys", json={"label": "script"}).json()["key"]


def enlarged(archive, size):
    content = io.BytesIO(archive)
    with zipfile.ZipFile(content, "a") as file:
        file.writestr("notes.txt", random.Random(0).randbytes(size))
    return content.getvalue()


@pytest.fixture
def photos(tmp_path, small_zip):
    path = tmp_path / "photos.zip"
    path.write_bytes(small_zip)
    return path


def test_a_resumable_upload_goes_on_over_a_connection_that_breaks_again_and_again(web, cable, photos, small_zip):
    content = enlarged(small_zip, 2_000_000)
    photos.write_bytes(content)
    wire = cable(400_000)
    with rf.Client(wire.url, username="anna", password=PASSWORD) as client:
        job_id = client.upload(photos, dataset_name="wire", options={"preset": "fast"}, resumable=True)
        job = client.job(job_id)
    assert (job["n_images"], job["dataset_name"]) == (5, "wire")
    assert wire.breaks >= 4
    assert wire.sent < 2 * len(content)
    assert web.service.files.upload(job_id).read_bytes() == content


@pytest.mark.parametrize("lost", [1, 2])
def test_an_upload_whose_answer_is_lost_is_sent_once_more_and_makes_one_job(cable, photos, anna, lost):
    wire = cable(lost=lost)
    with rf.Client(wire.url, api_key=anna) as client:
        if lost == 1:
            job_id = client.upload(photos, dataset_name="lost once")
            assert [job["job_id"] for job in client.jobs(dataset="lost once")] == [job_id]
        else:
            with pytest.raises(UnreachableError):
                client.upload(photos, dataset_name="lost twice")
            assert len(client.jobs(dataset="lost twice")) == 1
    assert wire.sent > 2 * photos.stat().st_size


def test_two_uploads_of_the_same_photos_are_two_jobs(web, photos):
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        assert len({client.upload(photos, resumable=how) for how in (True, True, False, False)}) == 4


def test_a_resumable_upload_makes_one_job_for_one_key(web, photos):
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        ids = {client.upload(photos, idempotency_key="a key", resumable=how) for how in (True, False, True)}
    assert len(ids) == 1


@pytest.mark.parametrize("resumable", [True, False])
def test_a_folder_with_files_from_before_zips_is_uploaded_and_its_webhook_kept(web, photos, tmp_path, resumable):
    folder = tmp_path / "folder"
    with zipfile.ZipFile(photos) as archive:
        archive.extractall(folder)
    os.utime(folder / "0.png", (0, 0))
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        job_id = client.upload(folder, webhook_url="https://example.org/hook", resumable=resumable)
    job = web.service.ledger.job(job_id)
    assert (job.n_images, job.webhook_url) == (5, "https://example.org/hook")


def test_waiting_outlasts_a_service_that_is_not_ready(web, photos, monkeypatch):
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        job_id = client.upload(photos)
        web.service.ledger.request_cancel(job_id)
        ask, broken = web.service.job, [StoreError("the ledger does not answer")] * 2
        monkeypatch.setattr(web.service, "job", lambda *given: failing(broken) or ask(*given))
        assert client.wait(job_id, progress=False)["stage"] == "cancelled"
        assert broken == []


def test_a_proxy_whose_service_restarts_ends_neither_a_wait_nor_an_upload(web, cable, photos, anna):
    first, second = cable(away=2), cable(away=2)
    with rf.Client(first.url, api_key=anna) as client:
        job_id = client.upload(photos, resumable=True)
    web.service.ledger.request_cancel(job_id)
    with rf.Client(second.url, api_key=anna) as client:
        assert client.wait(job_id, progress=False)["stage"] == "cancelled"
    assert first.away == second.away == 0


def test_a_proxy_that_goes_on_saying_so_is_told_as_a_service_that_does_not_answer(cable, anna):
    with rf.Client(cable(away=1000).url, api_key=anna, patience_s=0.5) as client:
        for ask in (client.jobs, lambda: client.wait("x", progress=False)):
            with pytest.raises(UnreachableError, match="502"):
                ask()


def test_waiting_ends_in_time_whether_the_service_answers_or_not(web, cable, photos, anna):
    with rf.Client(web.url, api_key=anna) as client:
        job_id = client.upload(photos)
        with pytest.raises(JobTimeoutError, match=r"after 0\.1 seconds: queued"):
            client.wait(job_id, progress=False, timeout_s=0.1)
    with rf.Client(cable(away=1000).url, api_key=anna) as client:
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match=r"after 0\.9 seconds: queued"):
            client.wait(job_id, progress=False, timeout_s=0.9)
        assert time.monotonic() - begun < 10


def failing(errors):
    if errors:
        raise errors.pop()


def test_a_refused_upload_says_why_in_both_ways(web, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"not a zip")
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        for resumable in (True, False):
            with pytest.raises(InputError, match="not a ZIP"):
                client.upload(tmp_path / "a.zip", resumable=resumable)
            with pytest.raises(InputError, match="dataset_name"):
                client.upload(tmp_path / "a.zip", resumable=resumable, dataset_name="a/b")


def test_an_upload_outlives_an_access_token(tmp_path, site, photos):
    with (
        site(tmp_path / "data", jwt_expiry_seconds=1) as web,
        rf.Client(web.url, username="anna", password=PASSWORD) as client,
    ):
        client.jobs()
        for resumable in (True, False):
            time.sleep(1.2)
            assert client.upload(photos, resumable=resumable)


def test_a_service_that_is_away_is_told_with_its_address_after_some_patience(photos):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with rf.Client(url, api_key="rf_x", patience_s=0.5) as client:
        for ask in (
            client.jobs,
            lambda: client.upload(photos, resumable=True),
            lambda: client.wait("x", progress=False),
        ):
            with pytest.raises(UnreachableError, match=url):
                ask()


def test_a_download_that_fails_leaves_nothing(web, photos, tmp_path):
    folder = tmp_path / "result"
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        job_id = client.upload(photos)
        with pytest.raises(JobStateError):
            client.download(job_id, folder)
    assert list(folder.iterdir()) == []


def test_a_download_cut_short_leaves_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

        server = threading.Thread(target=answer)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            rf.Client(url, api_key="rf_x") as client,
            pytest.raises(UnreachableError, match=r"a\.csv did not come whole"),
        ):
            client._save("/x", tmp_path / "a.csv")
        server.join()
    assert list(tmp_path.iterdir()) == []
