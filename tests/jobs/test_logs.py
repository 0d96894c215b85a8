import io
import json
import logging
import threading

import pytest

from reconflow.jobs.logs import JsonFormatter, TextFormatter, about_job, request_id, scrubbed

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def logged():
    """A logger, and what it has written so far in a format."""
    logger = logging.getLogger("reconflow.test")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def to(formatter):
        handler.setFormatter(formatter)
        return logger, stream

    yield to
    logger.removeHandler(handler)


def test_a_line_of_json_says_when_who_and_for_which_request_and_job(logged):
    logger, stream = logged(JsonFormatter())
    token = request_id.set("r-1")
    with about_job("j-1"):
        logger.warning("%d photos\nlost", 3, extra={"fields": {"ms": 1.5}})
    request_id.reset(token)
    [line] = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "WARNING", "logger": "reconflow.test", "message": "3 photos\nlost",
        "request_id": "r-1", "job_id": "j-1", "ms": 1.5,
    }  # fmt: skip


def test_outside_of_requests_and_jobs_there_are_no_ids(logged):
    logger, stream = logged(JsonFormatter())
    with about_job("j-1"):
        pass
    logger.info("idle")
    assert {"request_id", "job_id"} & set(json.loads(stream.getvalue())) == set()


def test_jobs_at_once_in_several_threads_keep_their_records_apart(logged):
    logger, stream = logged(JsonFormatter())
    together = threading.Barrier(2)

    def work(job_id):
        with about_job(job_id):
            together.wait()
            logger.info("at %s", job_id)

    threads = [threading.Thread(target=work, args=(f"j-{i}",)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted(line["job_id"] for line in lines) == ["j-0", "j-1"]
    assert all(line["message"] == f"at {line['job_id']}" for line in lines)


@pytest.mark.parametrize("kind", [JsonFormatter, TextFormatter])
@pytest.mark.parametrize(
    "secret", ["tell no-one", JWT, "rf_abcdefghijklmnopqrstuvwxyz", "letmein@db", "YW5uYTpzZWNyZXQ="]
)
def test_no_secret_gets_into_a_line_not_even_in_a_traceback(logged, kind, secret):
    logger, stream = logged(kind(["tell no-one"]))
    forms = {
        "letmein@db": "postgresql://anna:letmein@db/x",
        "YW5uYTpzZWNyZXQ=": "Authorization: Basic YW5uYTpzZWNyZXQ=",
    }
    text = forms.get(secret, secret)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("refused: %s", text, extra={"fields": {"more": text}})
    assert "Traceback" in stream.getvalue()
    assert secret.removesuffix("@db") not in stream.getvalue()


def test_words_that_are_no_secrets_stay():
    plain = "job 3f7a91b2: rf_x, https://example.org:8000/a@b, bearer of news, eye.py"
    assert scrubbed(plain, ["hunter2"]) == plain
