"""Webhooks, sent to a real listener that misbehaves."""

import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from reconflow.core.drift import DriftReport
from reconflow.errors import InputError
from reconflow.jobs.forms import UploadForm, check_form
from reconflow.jobs.outbox import Outbox
from reconflow.jobs.records import Job
from reconflow.jobs.runner import Runner
from reconflow.jobs.settings import load_settings
from reconflow.jobs.webhook import send_due_webhooks, sign

NOWHERE = [f"http://{'a' * 70}.example/", "http://a..b/", "http://xn--a/", "http://127.0.0.1:99999/"]


class Listener(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.headers["X-Reconflow-Signature"], body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def listener():
    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        server.heard, server.answers = [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ended(ledger, listener):
    return ended_job(ledger, f"http://127.0.0.1:{listener.server_port}/hook")


def ended_job(ledger, url):
    job = Job(
        job_id=str(uuid.uuid4()),
        owner_id="anna",
        dataset_name="d",
        scene_name="s",
        created_at=time.time(),
        options={},
        drift=DriftReport(),
        webhook_url=url,
    )
    ledger.add_job(job)
    return ledger.request_cancel(job.job_id)


def test_the_end_of_a_job_is_told_once_and_signed(ledger, listener, ended):
    for _ in range(2):
        send_due_webhooks(Outbox(ledger), secret="shared")
    [(signature, body)] = listener.heard
    stamp, told = (part.split("=")[1] for part in signature.split(","))
    assert told == hmac.new(b"shared", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert abs(int(stamp) - time.time()) < 60
    said = json.loads(body)
    assert (said["job_id"], said["stage"], said["error_code"]) == (ended.job_id, "cancelled", "cancelled")


def test_a_webhook_that_is_not_taken_is_sent_again(ledger, listener, ended):
    listener.answers = [500, 503]
    outbox = Outbox(ledger)
    send_due_webhooks(outbox, secret="shared")
    assert len(listener.heard) == 1
    for _ in range(2):  # as if the time had come
        outbox.done(outbox_letter(outbox, ledger, ended), again_in_s=-1)
        send_due_webhooks(outbox, secret="shared")
    assert len(listener.heard) == 3
    assert outbox.take(hold_s=1) is None


@pytest.mark.parametrize("address", NOWHERE)
def test_an_address_that_cannot_be_keeps_no_other_webhook_back(ledger, listener, address):
    ended_job(ledger, address)
    good = ended_job(ledger, f"http://127.0.0.1:{listener.server_port}/hook")
    send_due_webhooks(Outbox(ledger), secret="shared")
    assert [json.loads(body)["job_id"] for _, body in listener.heard] == [good.job_id]


def test_a_chore_that_fails_in_an_unforeseen_way_is_done_again(ledger, tmp_path):
    runner = Runner(load_settings({}, data_dir=tmp_path), ledger, "host:1:x")
    done = []

    def chore():
        done.append(len(done))
        if len(done) == 1:
            raise UnicodeError("label too long")
        runner.stop()

    runner._again_and_again(chore, 0.01)
    assert done == [0, 1]


@pytest.mark.parametrize("address", [*NOWHERE, "http://", "https:///hook", "http://a b/", "ftp://host/", "http://%00/"])
def test_an_address_that_cannot_be_is_refused_with_the_upload(address):
    with pytest.raises(InputError, match="webhook_url"):
        check_form(UploadForm(webhook_url=address))


@pytest.mark.parametrize(
    "address",
    ["https://example.com/x?y=1", "http://127.0.0.1:9000", "http://[::1]:80/", "http://häuser.example", "http://h"],
)
def test_an_address_that_can_be_is_taken(address):
    check_form(UploadForm(webhook_url=address))


def outbox_letter(outbox, ledger, job):
    from reconflow.jobs.outbox import Letter

    return Letter(job=ledger.job(job.job_id), tries=0)


def test_without_a_secret_nothing_is_sent(ledger, listener, ended):
    send_due_webhooks(Outbox(ledger), secret="")
    assert listener.heard == []
    assert Outbox(ledger).take(hold_s=1) is None


def test_the_check_that_the_readme_shows_takes_ours_and_nothing_else():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [code] = [
        block for block in re.findall(r"^```python\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL) if "is_ours" in block
    ]
    names = {}
    exec(code, names)
    now = int(time.time())
    signed = sign(b"{}", secret="shared", timestamp=now)
    assert names["is_ours"](signed, b"{}", "shared")
    assert not names["is_ours"](signed, b"{ }", "shared")
    assert not names["is_ours"](signed, b"{}", "other")
    assert not names["is_ours"](sign(b"{}", secret="shared", timestamp=now - 900), b"{}", "shared")
