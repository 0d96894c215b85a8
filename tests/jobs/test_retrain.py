import base64
import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reconflow.errors import RetrainError
from reconflow.jobs.retrain import trigger_retraining

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
