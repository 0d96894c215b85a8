"""What the service tells of itself: health, headers and metrics."""

import time

import pytest

from reconflow.jobs.claims import Claims
from reconflow.jobs.records import RunnerState


def test_the_service_says_it_is_up_without_a_token(web):
    before = time.time()
    body = web.anybody.get("/health").json()
    assert (body["status"], body["version"].count(".")) == ("ok", 2)
    assert before <= body["timestamp"] <= time.time()


def test_it_is_ready_only_while_a_runner_tells_of_its_workers(web):
    answer = web.anybody.get("/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    state = RunnerState(runner="r", device="NVIDIA A100 (40.0 GB)", dashboard_url="", seen_at=time.time())
    web.service.ledger.beat(state)
    web.service.ledger.beat(RunnerState(runner="s", device="cpu", dashboard_url="", seen_at=time.time()))
    assert web.anybody.get("/ready").json() == {"status": "ready", "device": "NVIDIA A100 (40.0 GB)"}
    for runner in ("r", "s"):
        web.service.ledger.forget_runner(runner)
    assert web.anybody.get("/ready").status_code == 503


@pytest.mark.parametrize("path", ["/nowhere", "/schema/x", "/schema/x.json"])
def test_an_address_where_nothing_is_says_so_in_a_sentence(web, path):
    answer = web.anybody.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing at this address"})


def test_browsers_are_told_to_keep_their_hands_off(web):
    headers = web.anybody.get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert "access-control-allow-origin" not in headers


def count(text, name, **labels):
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if head.startswith(f"{name}{{") and all(f'{k}="{v}"' in head for k, v in labels.items()):
            return float(value)
    return 0.0


@pytest.mark.parametrize(
    ("method", "path", "counted_as", "endpoint", "status"),
    [
        ("GET", "/health", "GET", "/health", 200),
        ("HEAD", "/health", "HEAD", "/health", 200),
        ("GET", "/jobs", "GET", "/jobs", 401),
        ("HEAD", "/jobs", "HEAD", "/jobs", 401),
        ("GET", "/nowhere", "GET", "unmatched", 404),
        ("GET", "/jobs/00000000-0000-4000-8000-000000000000", "GET", "/jobs/{job_id}", 401),
        ("POST", "/health", "POST", "/health", 405),
        ("PATCH", "/jobs/00000000-0000-4000-8000-000000000000", "PATCH", "/jobs/{job_id}", 405),
        ("FOOBAR", "/health", "other", "/health", 405),
        ("FOOBAR", "/nowhere", "other", "unmatched", 404),
    ],
)
def test_every_answer_is_counted_under_its_route(web, method, path, counted_as, endpoint, status):
    before = web.anybody.get("/metrics").text
    assert web.anybody.request(method, path).status_code == status
    assert_counted_once(before, web.anybody.get("/metrics").text, counted_as, endpoint, status)


def assert_counted_once(before, after, method, endpoint, status):
    labels = {"method": method, "endpoint": endpoint, "status": status}
    assert count(after, "api_requests_total", **labels) == count(before, "api_requests_total", **labels) + 1
    errors = count(after, "api_errors_total", endpoint=endpoint) - count(before, "api_errors_total", endpoint=endpoint)
    assert errors == (status >= 400)


def test_answers_over_a_limit_are_counted_too(tmp_path, own_site):
    with own_site(tmp_path) as web:
        wrong, huge = {"username": "anna", "password": "guess"}, {"username": "x" * (2 << 20), "password": "x"}
        for _ in range(10):
            web.anybody.post("/auth/token", json=wrong)
        for body, status in ((wrong, 429), (huge, 413)):
            before = web.anybody.get("/metrics").text
            assert web.anybody.post("/auth/token", json=body).status_code == status
            assert_counted_once(before, web.anybody.get("/metrics").text, "POST", "/auth/token", status)


def test_drift_is_counted_once_for_an_upload_however_often_its_job_ends(web, small_zip, upload):
    headers = {"Idempotency-Key": "drift"}
    before = web.anybody.get("/metrics").text
    job_id = upload(web.anna, small_zip, headers=headers).json()["job_id"]
    upload(web.anna, small_zip, headers=headers)
    for verb in ("cancel", "retry", "cancel"):
        web.anna.post(f"/jobs/{job_id}/{verb}")
    after = web.anybody.get("/metrics").text
    name, low = "reconflow_drift_total", {"severity": "low"}
    assert count(after, name, **low) == count(before, name, **low) + 1


def test_a_job_whose_runner_is_gone_is_not_worked_on(tmp_path, small_zip, own_site, upload):
    with own_site(tmp_path) as web:
        upload(web.anna, small_zip)
        Claims(web.service.ledger).take("runner", lease_s=0.5)
        assert "\nactive_jobs_total 1.0\n" in web.anybody.get("/metrics").text
        deadline = time.monotonic() + 10
        while "\nactive_jobs_total 0.0\n" not in web.anybody.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_metrics_have_the_names_of_the_contract(web):
    answer = web.anybody.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for name in (
        "api_requests_total", "api_errors_total", "inference_latency_seconds_bucket", "registered_images_ratio",
        "active_jobs_total", "model_server_ready", "data_valid_images_total", "reconflow_queue_depth",
    ):  # fmt: skip
        assert f"\n{name}" in answer.text
