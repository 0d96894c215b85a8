import base64
import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import text

from reconflow.core.drift import DriftReport
from reconflow.errors import RetrainError
from reconflow.jobs import intake
from reconflow.jobs.records import User
from reconflow.jobs.retrain import trigger_retraining
from reconflow.jobs.runner import Runner
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from reconflow.jobs.wishes import Wishes, grant_wish

RUNS = "/dags/experiment_pipeline_dag/dagRuns"


class Airflow(ThreadingHTTPServer):
    """Speaks version 3's API, version 2's, or both, and misbehaves as told."""

    daemon_threads = True

    def __init__(self, versions=("2",)):
        super().__init__(("127.0.0.1", 0), Answers)
        self.versions = versions
        self.answers = []
        """What to answer the next requests for a run, instead of doing it: a status, or a status and a body."""
        self.delay_s = 0.0
        self.token_body = None
        self.tokens = []
        self.runs = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Airflow

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(self.server.delay_s)
        known = {"/auth/token": self.token} if "2" in self.server.versions else {}
        known |= {f"/api/v{version}{RUNS}": self.run for version in self.server.versions}
        known.get(self.path, lambda _: self.answer(404, {}))(body)

    def token(self, body):
        if body != {"username": "ada", "password": "secret"}:
            return self.answer(401, {})
        self.server.tokens.append(f"token-{len(self.server.tokens)}")
        return self.answer(201, self.server.token_body or {"access_token": self.server.tokens[-1]})

    def run(self, body):
        if self.server.answers:
            planned = self.server.answers.pop(0)
            return self.answer(*(planned if isinstance(planned, tuple) else (planned, {})))
        expected = "Basic " + base64.b64encode(b"ada:secret").decode()
        if "/api/v2/" in self.path:
            expected = f"Bearer {self.server.tokens[-1]}" if self.server.tokens else ""
            if "logical_date" not in body:
                return self.answer(422, {})
        if self.headers["Authorization"] != expected:
            return self.answer(401, {})
        self.server.runs.append((self.path, body))
        return self.answer(200, {"dag_run_id": body["dag_run_id"]})

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with suppress(ConnectionError):  # who gave up waiting hung up
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def airflow():
    with Airflow() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def trigger(server, **changes):
    given = {"url": server.url, "username": "ada", "password": "secret", "conf": {"job": "1"}} | changes
    return trigger_retraining(**given)


@pytest.mark.parametrize("api_version", ["auto", "2"])
def test_airflow_3_gets_a_bearer_token_and_a_logical_date(airflow, api_version):
    run_id = trigger(airflow, api_version=api_version)
    expected = {"dag_run_id": run_id, "conf": {"job": "1"}, "logical_date": None}
    assert airflow.runs == [(f"/api/v2{RUNS}", expected)]


@pytest.mark.parametrize("api_version", ["auto", "1"])
def test_airflow_2_gets_basic_authentication(airflow, api_version):
    airflow.versions = ("1",)
    run_id = trigger(airflow, api_version=api_version)
    assert airflow.runs == [(f"/api/v1{RUNS}", {"dag_run_id": run_id, "conf": {"job": "1"}})]


def test_every_trigger_has_an_id_of_its_own(airflow):
    assert trigger(airflow) != trigger(airflow)


def test_a_path_in_front_is_kept(airflow):
    with pytest.raises(RetrainError, match="404"):
        trigger(airflow, url=f"{airflow.url}/behind/a/proxy")


def test_one_401_is_answered_with_a_fresh_token(airflow):
    airflow.answers = [401]
    trigger(airflow)
    assert (len(airflow.tokens), len(airflow.runs)) == (2, 1)


def test_a_second_401_is_the_end(airflow):
    airflow.answers = [401, 401, 401]
    with pytest.raises(RetrainError, match="401"):
        trigger(airflow)
    assert len(airflow.answers) == 1


def test_a_wrong_password_is_said_to_be_wrong(airflow):
    with pytest.raises(RetrainError, match="AIRFLOW_USERNAME"):
        trigger(airflow, password="wrong")


def test_a_run_that_exists_counts_as_triggered(airflow):
    airflow.answers = [409]
    assert trigger(airflow).startswith("reconflow-")


@pytest.mark.parametrize("status", [302, 400, 403, 404, 422, 500, 503])
def test_any_other_answer_is_an_error_that_names_it(airflow, status):
    airflow.answers = [status]
    with pytest.raises(RetrainError, match=str(status)):
        trigger(airflow)


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b"", b"[]", b"\xff\xfe"])
def test_a_success_that_names_no_run_is_none(airflow, body):
    airflow.answers = [(200, body)]
    with pytest.raises(RetrainError, match="AIRFLOW_URL"):
        trigger(airflow)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"token": 1}'])
def test_garbage_instead_of_a_token_is_an_error(airflow, body):
    airflow.token_body = body
    with pytest.raises(RetrainError, match="no token"):
        trigger(airflow)


def test_an_airflow_that_does_not_answer_is_given_up(airflow):
    airflow.delay_s = 0.6
    with pytest.raises(RetrainError, match=r"0\.2 seconds"):
        trigger(airflow, timeout_s=0.2)


def test_nobody_there_is_an_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(RetrainError, match="cannot be reached"):
            trigger_retraining(url=f"http://127.0.0.1:{unused.getsockname()[1]}", username="", password="", conf={})


@pytest.mark.parametrize(
    "url", ["", "airflow:8080", "http://[", "ftp://host", f"http://{'a' * 70}.example", "http://a..b", "http://h:99999"]
)
def test_a_useless_address_is_an_error(url):
    with pytest.raises(RetrainError):
        trigger_retraining(url=url, username="", password="", conf={})


ADA = User(user_id="ada", name="ada", role="admin", created_at=0.0)


@pytest.fixture
def service(airflow, ledger, tmp_path):
    """A service that retrains when photos drift, with the server as its Airflow."""
    account = {"airflow_url": airflow.url, "airflow_username": "ada", "airflow_password": "secret"}
    given = {"data_dir": tmp_path, "retrain_on_high_drift": True, "min_free_bytes": 0} | account
    return JobService(load_settings({}, **given), ledger)


def upload(service, monkeypatch, severity="high"):
    """Upload photos that look as told; what the look at them costs is of no interest here."""
    seen = intake.Intake(n_images=3, n_sampled=3, n_readable=3, drift=DriftReport(severity=severity))
    monkeypatch.setattr(intake, "look_at", lambda *_, **__: seen)
    path = service.incoming_path()
    path.write_bytes(b"photos")
    return service.accept_upload(ADA, path).job_id


def chore(service, times=1):
    for _ in range(times):
        grant_wish(Wishes(service.ledger), service.settings)


def time_passes(service, seconds):
    with service.ledger.engine.begin() as connection:
        connection.execute(text(f"UPDATE wishes SET taken_at = taken_at - {seconds}, due_at = due_at - {seconds}"))


def reasons(airflow):
    return [body["conf"] for _, body in airflow.runs]


def test_uploads_that_drift_highly_start_one_run_that_knows_the_first_of_them(service, airflow, monkeypatch):
    upload(service, monkeypatch, "moderate")
    first = upload(service, monkeypatch)
    upload(service, monkeypatch)
    assert airflow.runs == []  # no upload waits for Airflow
    chore(service, times=2)
    upload(service, monkeypatch)
    chore(service, times=2)
    assert reasons(airflow) == [{"job_id": first, "severity": "high"}]
    time_passes(service, service.settings.retrain_cooldown_s + 1)
    chore(service)
    assert len(airflow.runs) == 1  # what drifted within the cool-down is dropped, not put off
    later = upload(service, monkeypatch)
    chore(service)
    assert reasons(airflow)[1:] == [{"job_id": later, "severity": "high"}]


def test_what_airflow_refuses_uses_no_turn_up_and_is_tried_again(service, airflow, monkeypatch):
    job_id = upload(service, monkeypatch)
    airflow.answers = [500]
    chore(service, times=3)
    assert (airflow.answers, airflow.runs) == ([], [])
    time_passes(service, 61)
    chore(service, times=2)
    assert reasons(airflow) == [{"job_id": job_id, "severity": "high"}]


def test_a_runner_that_dies_before_it_notes_the_answer_starts_no_second_run(service, airflow, monkeypatch):
    job_id = upload(service, monkeypatch)
    wishes = Wishes(service.ledger)
    assert wishes.take(cooldown_s=0, hold_s=100) == job_id
    assert wishes.take(cooldown_s=0, hold_s=100) is None
    time_passes(service, 101)
    chore(service)
    assert airflow.runs[0][1]["dag_run_id"] == f"reconflow-{job_id}"


def test_an_administrator_starts_a_run_whenever_they_like_and_uploads_wait_for_the_cool_down(
    service, airflow, monkeypatch
):
    for _ in range(2):
        service.trigger_retrain(ADA)
    assert reasons(airflow) == [{"asked_by": "ada"}] * 2
    upload(service, monkeypatch)
    chore(service)
    assert len(airflow.runs) == 2
    airflow.answers = [403]
    with pytest.raises(RetrainError, match="403"):
        service.trigger_retrain(ADA)


def test_without_the_setting_no_upload_asks(airflow, ledger, tmp_path, monkeypatch):
    service = JobService(load_settings({}, data_dir=tmp_path, airflow_url=airflow.url, min_free_bytes=0), ledger)
    upload(service, monkeypatch)
    assert Wishes(ledger).take(cooldown_s=0, hold_s=1) is None


def test_a_runner_does_what_uploads_ask_for(service, airflow, monkeypatch):
    job_id = upload(service, monkeypatch)
    runner = Runner(service.settings, service.ledger, "host:1:x")
    monkeypatch.setattr(runner, "_serve_on_a_cluster", lambda: runner._stopping.wait(30))
    thread = threading.Thread(target=runner.serve)
    thread.start()
    deadline = time.monotonic() + 30
    while not airflow.runs and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.stop()
    thread.join()
    assert reasons(airflow) == [{"job_id": job_id, "severity": "high"}]
