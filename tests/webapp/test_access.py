import json
import logging
import time

import pytest

from reconflow.jobs.logs import JsonFormatter


@pytest.fixture
def lines():
    """What the service logs from here on, as it would be written."""
    found = []

    class Keep(logging.Handler):
        def emit(self, record):
            if record.name.startswith(("reconflow", "webapp")):
                found.append(json.loads(self.format(record)))

    handler = Keep()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("reconflow")
    before = logger.level
    logging.root.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.setLevel(before)
    logging.root.removeHandler(handler)


def heard(lines, count):
    """The lines, once there are so many: an answer may be read before its line is written."""
    deadline = time.monotonic() + 10
    while len(lines) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return lines


def test_every_request_leaves_one_line_with_its_route_and_not_its_address(web, lines):
    web.anna.get("/jobs/some-id", params={"link": "hush"}, headers={"X-Request-ID": "trace-7"})
    [line] = heard(lines, 1)
    assert (line["logger"], line["method"], line["route"]) == ("reconflow.access", "GET", "/jobs/{job_id}")
    assert (line["status"], line["request_id"]) == (404, "trace-7")
    assert 0 < line["ms"] < 60_000
    assert "some-id" not in json.dumps(line)
    assert "hush" not in json.dumps(line)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/jobs", 405), ("GET", "/jobs", 401), ("HEAD", "/health", 200)],
)
def test_answers_that_no_route_made_have_an_id_and_a_line_too(web, lines, method, path, status):
    answer = web.anybody.request(method, path)
    assert answer.status_code == status
    assert [(line["method"], line["status"], line["request_id"]) for line in heard(lines, 1)] == [
        (method, status, answer.headers["x-request-id"])
    ]


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "tab\there", "quote'"])
def test_an_id_that_is_not_sane_is_replaced(web, given):
    made = web.anybody.get("/health", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert made != given
    assert len(made) == 32


def test_what_goes_wrong_inside_is_logged_under_the_id_the_client_is_told(web, lines, monkeypatch):
    def broken():
        raise ValueError("broken inside")

    monkeypatch.setattr(web.service, "options_schema", broken)
    answer = web.anna.get("/options")
    assert (answer.status_code, "broken" in answer.text) == (500, False)
    mine = [line for line in heard(lines, 2) if line["request_id"] == answer.headers["x-request-id"]]
    assert ["broken inside" in line.get("exception", "") for line in mine] == [True, False]
