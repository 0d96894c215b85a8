"""Many uploads or logins at once: each is served in its turn, and whoever asks for something else does not wait."""

import concurrent.futures
import threading

import httpx
import pytest

from reconflow.core.drift import DriftReport
from reconflow.jobs import intake

CROWD = 45
"""More than there are threads for all other answers, which are forty."""
PASSWORD = "correct horse"


class Gate:
    """Something slow that takes until it is opened, and counts who is inside."""

    def __init__(self):
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)

    def pass_through(self):
        self.entered.release()
        assert self.opened.wait(60)


@pytest.fixture
def gate():
    found = Gate()
    yield found
    found.opened.set()


def crowd(web, gate, request):
    """Send a request many times at once, and ask for something else meanwhile; return the status codes of both."""

    def send(_):
        with httpx.Client(base_url=web.url, headers=web.anna.headers, timeout=120) as client:
            return request(client).status_code

    with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
        sent = [pool.submit(send, number) for number in range(CROWD)]
        assert gate.entered.acquire(timeout=60)
        while gate.entered.acquire(timeout=3):  # until no more of them come in
            pass
        try:
            others = [web.ben.get(path, timeout=10).status_code for path in ("/jobs", "/options", "/metrics")]
        finally:
            gate.opened.set()
        return others, [one.result() for one in sent]


@pytest.mark.parametrize("path", ["/upload", "/drift"])
def test_a_crowd_of_uploads_keeps_nobody_else_waiting(web, small_zip, gate, monkeypatch, path):
    def look(upload, *, unpack_to, **_):
        gate.pass_through()
        unpack_to.mkdir(parents=True)
        return intake.Intake(n_images=5, n_sampled=5, n_readable=5, drift=DriftReport())

    monkeypatch.setattr(intake, "look_at", look)
    others, codes = crowd(web, gate, lambda client: client.post(path, files={"file": ("a.zip", small_zip)}))
    assert others == [200] * 3
    assert set(codes) == {202 if path == "/upload" else 200}


@pytest.mark.parametrize("path", ["/auth/token", "/auth/session"])
def test_a_crowd_of_logins_keeps_nobody_else_waiting(web, gate, monkeypatch, path):
    check = web.accounts.check_password

    def slowly(*given, **named):
        gate.pass_through()
        return check(*given, **named)

    monkeypatch.setattr(web.accounts, "check_password", slowly)
    others, codes = crowd(web, gate, lambda client: client.post(path, json={"username": "ben", "password": PASSWORD}))
    assert others == [200] * 3
    assert set(codes) == {200}
