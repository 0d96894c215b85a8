"""The contract's endpoints against a real server; what a run leaves is in test_results.py."""

import contextlib
import io
import itertools
import re
import threading
import time
import uuid
import zipfile

import httpx
import jwt
import pytest
from sqlalchemy import insert

from reconflow.jobs.tables import events
from reconflow.nets.registry import ACCEPTANCE_INLIERS

PASSWORD = "correct horse"
SECRET = "a secret of thirty-two bytes or more"
PROTECTED = [
    ("GET", "/jobs"), ("HEAD", "/jobs"), ("GET", "/options"), ("POST", "/upload"), ("POST", "/drift"),
    ("POST", "/drift/trigger-retrain"), ("GET", "/status/x"), ("GET", "/jobs/x"), ("GET", "/download/jobs/x"),
    ("GET", "/download/jobs/x/csv"), ("GET", "/download/jobs/x/y.ply"), ("GET", "/clusters/x"), ("DELETE", "/jobs/x"),
    ("GET", "/jobs/x/insights"), ("GET", "/jobs/x/events"), ("GET", "/auth/keys"), ("GET", "/users"),
    ("POST", "/jobs/x/cancel"), ("POST", "/jobs/x/retry"), ("POST", "/jobs/x/links"), ("GET", "/admin/status"),
    ("PATCH", "/users/x"), ("DELETE", "/users/x"), ("PUT", "/auth/password"), ("GET", "/admin/keys"),
    ("DELETE", "/admin/keys/x"),
]  # fmt: skip


def upload(client, content, headers=None, **fields):
    return client.post("/upload", files={"file": ("photos.zip", content)}, data=fields, headers=headers)


@pytest.fixture(scope="module")
def queued(web, small_zip):
    return upload(web.anna, small_zip, dataset_name="noise").json()["job_id"]


def test_the_service_says_it_is_up_without_a_token(web):
    before = time.time()
    body = web.anybody.get("/health").json()
    assert (body["status"], body["version"].count(".")) == ("ok", 2)
    assert before <= body["timestamp"] <= time.time()


def test_it_is_ready_only_while_a_runner_tells_of_its_workers(web):
    from reconflow.jobs.records import RunnerState

    answer = web.anybody.get("/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    state = RunnerState(runner="r", device="NVIDIA A100 (40.0 GB)", dashboard_url="", seen_at=time.time())
    web.service.ledger.beat(state)
    web.service.ledger.beat(RunnerState(runner="s", device="cpu", dashboard_url="", seen_at=time.time()))
    assert web.anybody.get("/ready").json() == {"status": "ready", "device": "NVIDIA A100 (40.0 GB)"}
    for runner in ("r", "s"):
        web.service.ledger.forget_runner(runner)
    assert web.anybody.get("/ready").status_code == 503


def test_a_login_gives_a_token_with_an_end(web):
    body = web.login("anna")
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    claims = jwt.decode(body["access_token"], SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 900


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_login_is_refused_in_the_same_words(web, name, password):
    answer = web.anybody.post("/auth/token", json={"username": name, "password": password})
    assert (answer.status_code, answer.json()["detail"]) == (401, "Invalid credentials")


def test_a_login_without_a_body_is_told_what_is_missing(web):
    answer = web.anybody.post("/auth/token")
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is missing")


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_everything_else_needs_a_token(web, method, path):
    answer = web.anybody.request(method, path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def token(**changes):
    now = int(time.time())
    claims = {"sub": "x", "name": "x", "role": "admin", "iss": "reconflow", "iat": now, "exp": now + 60, "jti": "j"}
    return claims | changes


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer nonsense",
        "Basic YW5uYTp4",
        "Bearer rf_nobody",
        "Bearer " + jwt.encode(token(exp=1), SECRET, algorithm="HS256"),
        "Bearer " + jwt.encode(token(), "another secret that is long enough", algorithm="HS256"),
        "Bearer " + jwt.encode(token(), "", algorithm="none"),
        "Bearer " + jwt.encode(token(iss="somebody"), SECRET, algorithm="HS256"),
        "Bearer " + jwt.encode(token(role="root"), SECRET, algorithm="HS256"),
    ],
    ids=["empty", "malformed", "basic", "unknown key", "expired", "other secret", "unsigned", "other issuer", "role"],
)
def test_tokens_that_are_not_ours_are_refused(web, header):
    assert web.anybody.get("/jobs", headers={"Authorization": header}).status_code == 401


def test_a_token_is_worthless_after_logging_out(web):
    body = web.login("ben")
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert web.anybody.get("/jobs", headers=headers).status_code == 200
    rest = {"refresh_token": body["refresh_token"]}
    assert web.anybody.post("/auth/logout", headers=headers, json=rest).status_code == 204
    assert web.anybody.get("/jobs", headers=headers).status_code == 401
    assert web.anybody.post("/auth/refresh", json=rest).status_code == 401


def test_a_refresh_token_works_once_and_its_reuse_ends_the_session(web):
    first = web.login("ben")["refresh_token"]
    second = web.anybody.post("/auth/refresh", json={"refresh_token": first}).json()["refresh_token"]
    assert web.anybody.post("/auth/refresh", json={"refresh_token": first}).status_code == 401
    assert web.anybody.post("/auth/refresh", json={"refresh_token": second}).status_code == 401


def test_an_api_key_works_until_it_is_deleted_and_is_listed_without_itself(web):
    made = web.anna.post("/auth/keys", json={"label": "script"}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert web.anybody.get("/jobs", headers=headers).status_code == 200
    listed = web.anna.get("/auth/keys")
    assert made["key"] not in listed.text
    assert web.ben.delete(f"/auth/keys/{made['key_id']}").status_code == 404
    assert web.anna.delete(f"/auth/keys/{made['key_id']}").status_code == 204
    assert web.anybody.get("/jobs", headers=headers).status_code == 401


def test_only_administrators_see_and_make_accounts(web):
    assert web.anna.get("/users").status_code == 403
    assert web.admin.post("/users", json={"username": "zoe", "password": "long enough"}).status_code == 201
    assert "zoe" in [user["name"] for user in web.admin.get("/users").json()["users"]]
    assert "long enough" not in web.admin.get("/users").text


def test_an_upload_becomes_a_waiting_job_of_its_owner(web, queued):
    body = web.anna.get(f"/jobs/{queued}").json()
    assert uuid.UUID(body["job_id"])
    assert (body["stage"], body["status"], body["progress"], body["n_images"]) == ("queued", "queued", 0, 5)
    assert (body["error"], body["download_url"], body["finished_at"], body["has_drift"]) == (None, None, None, False)
    assert web.anna.get(f"/status/{queued}").json() == body
    assert web.ben.get(f"/jobs/{queued}").status_code == 404
    assert web.admin.get(f"/jobs/{queued}").status_code == 200


def test_head_answers_like_get_without_a_body(web, queued):
    answer = web.anna.head(f"/jobs/{queued}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert web.anna.head(f"/jobs/{uuid.uuid4()}").status_code == 404


def test_head_of_a_live_stream_is_answered_at_once(web, queued):
    answer = web.anna.head(f"/jobs/{queued}/events", headers={"Accept": "text/event-stream"}, timeout=10)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert web.anna.get(f"/jobs/{queued}").status_code == 200


@pytest.mark.parametrize("path", ["/nowhere", "/schema/x", "/schema/x.json"])
def test_an_address_where_nothing_is_says_so_in_a_sentence(web, path):
    answer = web.anybody.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing at this address"})


@pytest.mark.parametrize(
    "path", ["/download/jobs/{}", "/download/jobs/{}/csv", "/download/jobs/{}/a.ply", "/jobs/{}/images"]
)
def test_results_of_an_unfinished_job_are_a_conflict_and_of_an_unknown_one_not_found(web, queued, path):
    assert web.anna.get(path.format(queued)).status_code == 409
    assert web.anna.get(path.format(uuid.uuid4())).status_code == 404
    assert web.anna.get(path.format("no-id")).status_code == 404


def test_a_job_has_no_clusters_yet_and_nothing_to_do_about_drift(web, queued):
    assert web.anna.get(f"/clusters/{queued}").json() == {"clusters": []}
    body = web.anna.get(f"/jobs/{queued}/insights").json()
    assert body["recommendation"] == "No action needed."
    assert body["drift_report"]["severity"] == body["drift_severity"] == "low"
    assert "no baseline" in body["drift_report"]["warnings"][0]


@pytest.mark.parametrize(
    ("content", "fields", "words"),
    [
        (b"not a zip", {}, "not a ZIP"),
        (None, {"options": "{"}, "options: not valid JSON"),
        (None, {"options": '{"match": {"ration": 0.8}}'}, "did you mean match.ratio"),
        (None, {"options": '{"match": {"ratio": 2}}'}, "match.ratio"),
        (None, {"options": '{"preset": "huge"}'}, "unknown preset"),
        (None, {"options": '{"preset": ["fast"]}'}, "preset: expected one of"),
        (None, {"options": '{"preset": "best"}'}, "superpoint"),
        (None, {"options": '{"extract": {"extractor": "nonsense"}}'}, "extract.extractor 'nonsense'"),
        (None, {"options": '{"match": {"matcher": "nonsense"}}'}, "match.matcher 'nonsense'"),
        (None, {"options": '{"match": {"matcher": "lightglue"}}'}, "the weights lightglue-aliked are not here"),
        (
            None,
            {"options": '{"extract": {"extractor": "sift"}, "match": {"matcher": "lightglue"}}'},
            "lightglue does not match features of sift",
        ),
        (None, {"options": '{"extract": {"extractor": "sift,"}}'}, "extract.extractor 'sift,'"),
        (None, {"options": '{"ingest": {"max_megapixels": 401}}'}, "ingest.max_megapixels must be at most 400"),
        (None, {"options": '{"ingest": {"max_megapixels": 1e300}}'}, "max_megapixels"),
        (None, {"options": '{"reconstruct": {"threads": 1025}}'}, "reconstruct.threads"),
        (None, {"options": '{"execution": {"images_per_tile": 1000000}}'}, "execution"),
        (None, {"dataset_name": "a/b"}, "dataset_name"),
        (None, {"scene_name": ""}, "scene_name"),
        (None, {"webhook_url": "file:///etc/passwd"}, "webhook_url"),
        (None, {"webhook_url": "http://a..b/"}, "webhook_url"),
        (None, {"surprise": "x"}, "unknown field 'surprise'"),
    ],
)
def test_a_wrong_upload_is_refused_with_a_sentence_and_leaves_nothing(web, small_zip, content, fields, words):
    before = list(web.service.files.jobs.iterdir())
    answer = upload(web.anna, content or small_zip, **fields)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert list(web.service.files.jobs.iterdir()) == before
    assert list(web.service.files.incoming.iterdir()) == []


def test_a_form_without_a_file_or_cut_short_is_refused(web):
    assert web.anna.post("/upload", data={"dataset_name": "x"}).status_code == 400
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    cut = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK'
    assert web.anna.post("/upload", content=cut, headers=headers).status_code == 400
    assert list(web.service.files.incoming.iterdir()) == []


def test_the_same_idempotency_key_gives_the_same_job(web, small_zip):
    headers = {"Idempotency-Key": "once"}
    ids = {upload(web.anna, small_zip, headers=headers).json()["job_id"] for _ in range(2)}
    assert len(ids) == 1
    assert upload(web.ben, small_zip, headers=headers).json()["job_id"] not in ids


def test_jobs_are_listed_newest_first_in_pages_of_ones_own(web, small_zip):
    made = [upload(web.ben, small_zip, dataset_name="paged").json()["job_id"] for _ in range(3)]
    found, cursor = [], None
    while True:
        query = {"dataset": "paged", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = web.ben.get("/jobs", params=query).json()
        found += [job["job_id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == made[::-1]
    assert web.anna.get("/jobs", params={"dataset": "paged"}).json()["jobs"] == []
    assert web.anna.get("/jobs", params={"cursor": "x"}).status_code == 400
    assert web.anna.get("/jobs", params={"stage": "x"}).status_code == 400


def test_points_of_a_job_under_way_are_sent_once(web, small_zip):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    path = f"/jobs/{job_id}/clouds/live"
    assert web.anna.get(path).status_code == 204
    assert web.ben.get(path).status_code == 404
    folder = web.service.files.run(job_id) / "work" / "live"
    folder.mkdir(parents=True)
    (folder / "small.bin").write_bytes(b"RFPC")
    (folder / "large.bin").write_bytes(b"RFPC, of the largest scene")
    first = web.anna.get(path)
    assert (first.status_code, first.content) == (200, b"RFPC, of the largest scene")
    again = web.anna.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    web.anna.post(f"/jobs/{job_id}/cancel")
    assert web.anna.get(path).status_code == 409


def test_jobs_are_found_by_words_and_by_several_stages(web, small_zip):
    names = {"dataset_name": "Würzburg", "scene_name": "north tower"}
    waiting, ended = (upload(web.ben, small_zip, **names).json()["job_id"] for _ in range(2))
    web.ben.post(f"/jobs/{ended}/cancel")

    def ids(client, **query):
        return {job["job_id"] for job in client.get("/jobs", params=query).json()["jobs"]}

    assert ids(web.ben, q="TOWER würz") == {waiting, ended}
    assert ids(web.ben, q="würz", stage="cancelled") == {ended}
    assert ids(web.ben, q="würz", stage=["queued", "cancelled"]) == {waiting, ended}
    assert ids(web.anna, q="würz") == set()
    assert ids(web.admin, q="ben tower") == {waiting, ended}
    assert web.ben.get("/jobs", params={"q": "x" * 101}).status_code == 400
    assert web.ben.get("/jobs?q=%00").status_code == 400


def test_administrators_are_told_whose_a_job_is(web, small_zip):
    job_id = upload(web.anna, small_zip, dataset_name="owned").json()["job_id"]
    assert web.anna.get(f"/jobs/{job_id}").json()["owner"] is None
    for path in (f"/jobs/{job_id}", f"/status/{job_id}"):
        assert web.admin.get(path).json()["owner"] == "anna"
    assert [job["owner"] for job in web.admin.get("/jobs", params={"dataset": "owned"}).json()["jobs"]] == ["anna"]
    assert web.admin.post(f"/jobs/{job_id}/cancel").json()["owner"] == "anna"


def test_a_waiting_job_is_cancelled_retried_and_deleted(web, small_zip):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    assert web.anna.post(f"/jobs/{job_id}/retry").status_code == 409
    assert web.anna.post(f"/jobs/{job_id}/cancel").json()["stage"] == "cancelled"
    assert web.anna.post(f"/jobs/{job_id}/cancel").status_code == 409
    fresh = web.anna.post(f"/jobs/{job_id}/retry", json={"options": {"match": {"ratio": 0.7}}}).json()
    assert (fresh["stage"], fresh["options"]["match"]["ratio"]) == ("queued", 0.7)
    assert web.anna.delete(f"/jobs/{job_id}").status_code == 204
    assert web.anna.get(f"/jobs/{job_id}").status_code == 404


def test_a_stream_tells_what_happens_and_ends_with_the_job(web, small_zip):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    first = web.anna.get(f"/jobs/{job_id}/events").json()["events"][0]["id"]
    threading.Timer(0.5, lambda: web.service.ledger.request_cancel(job_id)).start()
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(first)}
    with web.anna.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        lines = list(answer.iter_lines())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line for line in lines if line.startswith("event:")] == ["event: stage"]
    assert any('"stage":"cancelled"' in line for line in lines)
    assert not any('"stage":"queued"' in line for line in lines)


def test_a_long_log_is_read_in_parts_and_counted_whole(web, small_zip):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    ledger, at = web.service.ledger, itertools.count(1000)
    for ending in ("failed", "success"):
        stages = ["queued", "extracting", *["matching"] * 300, "triangulating", *["decimating"] * 2, ending]
        with ledger.engine.begin() as connection:
            for before, stage in itertools.pairwise(["", *stages]):
                kind = "progress" if stage == before else "stage"
                row = {"job_id": job_id, "at": next(at), "kind": kind, "stage": stage, "progress": 1, "message": ""}
                connection.execute(insert(events).values(row))
    parts, after = [], 0
    while after is not None:
        parts.append(web.anna.get(f"/jobs/{job_id}/events", params={"after": after}).json())
        after = parts[-1]["next_after"]
    ids = [event["id"] for part in parts for event in part["events"]]
    assert ([len(part["events"]) for part in parts], ids) == ([500, 113], sorted(set(ids)))
    seconds = web.service.stage_seconds(ledger.job(job_id))
    assert seconds == {"extracting": 1, "matching": 300, "triangulating": 1, "decimating": 2}


def test_drift_is_checked_without_making_a_job(web, small_zip):
    before = list(web.service.files.jobs.iterdir())
    body = web.anna.post("/drift", files={"file": ("a.zip", small_zip)}).json()
    assert (body["drift_detected"], body["severity"], body["checks"]) == (False, "low", {})
    assert list(web.service.files.jobs.iterdir()) == before
    assert list(web.service.files.incoming.iterdir()) == []


def test_the_drift_of_a_few_photos_is_too_little_data_and_that_of_none_a_wrong_request(web, small_zip):
    with zipfile.ZipFile(io.BytesIO(small_zip)) as archive:
        one = archive.read("0.png")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", one)
    answer = web.anna.post("/drift", files={"file": ("a.zip", content.getvalue())})
    assert (answer.status_code, answer.json()["severity"]) == (200, "low")
    assert any("insufficient data: 1 photo" in warning for warning in answer.json()["warnings"])
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", b"no photo")
    assert web.anna.post("/drift", files={"file": ("a.zip", content.getvalue())}).status_code == 400


def test_retraining_is_for_administrators_and_says_why_it_fails(web):
    assert web.anna.post("/drift/trigger-retrain").status_code == 403
    answer = web.admin.post("/drift/trigger-retrain")
    assert (answer.status_code, "AIRFLOW_URL" in answer.json()["detail"]) == (502, True)


def test_jobs_start_from_the_promoted_configuration_as_soon_as_there_is_one(tmp_path, site, small_zip):
    promoted = tmp_path / "promoted.toml"
    with site(tmp_path / "data", config=str(promoted)) as web:
        assert web.anna.get("/options").json()["defaults"]["match"]["ratio"] == 0.8
        promoted.write_text("[match]\nratio = 0.7\n[extract]\nmax_keypoints = 5000\n")
        assert web.anna.get("/options").json()["defaults"]["match"]["ratio"] == 0.7
        job_id = upload(web.anna, small_zip, options='{"preset": "fast"}').json()["job_id"]
        told = web.anna.get(f"/jobs/{job_id}").json()["options"]
        assert (told["match"]["ratio"], told["extract"]["max_keypoints"]) == (0.7, 2048)
        promoted.write_text("[match]\nratio = 7\n")
        answer = web.anna.get("/options")
        assert (answer.status_code, str(tmp_path) in answer.text) == (503, False)


def test_options_are_described_with_their_presets(web):
    body = web.anna.get("/options").json()
    assert list(body["presets"]) == ["fast", "default", "detailed", "best"]
    assert list(body["presets_missing"]) == ["best"]
    for part in ("superpoint", "MASt3R_ViTLarge"):
        assert part in body["presets_missing"]["best"]
    assert body["defaults"]["match"]["ratio"] == 0.8
    assert body["defaults"]["extract"]["extractor"] == body["defaults"]["match"]["matcher"] == "auto"
    told = " ".join(body["schema"]["$defs"]["ExtractConfig"]["description"].split())
    assert "aliked-n16rot and lightglue where workers offer GPUs and the weights are here, else sift and adalam" in told
    assert "MatchConfig" in body["schema"]["$defs"]
    assert "execution" not in body["schema"]["$defs"]["PipelineConfig"]["properties"]
    assert "ExecutionConfig" not in str(body["schema"])


def test_every_method_is_listed_with_what_it_lacks(web):
    methods = web.anna.get("/options").json()["methods"]
    assert {(one["extractor"], one["matcher"]) for one in methods} == set(ACCEPTANCE_INLIERS)
    assert all(one["name"] == f"{one['extractor']}+{one['matcher']}" for one in methods)
    by_name = {one["name"]: one for one in methods}
    assert by_name["sift+adalam"] | {"usable": True, "reason": ""} == by_name["sift+adalam"]
    assert not by_name["superpoint+mast3r_hybrid"]["usable"]
    assert all(
        part in by_name["superpoint+mast3r_hybrid"]["reason"] for part in ("superpoint_v1.pth", "MASt3R_ViTLarge")
    )
    assert all(one["usable"] == (one["reason"] == "") for one in methods)


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


def test_answers_over_a_limit_are_counted_too(tmp_path, site):
    with site(tmp_path) as web:
        wrong, huge = {"username": "anna", "password": "guess"}, {"username": "x" * (2 << 20), "password": "x"}
        for _ in range(10):
            web.anybody.post("/auth/token", json=wrong)
        for body, status in ((wrong, 429), (huge, 413)):
            before = web.anybody.get("/metrics").text
            assert web.anybody.post("/auth/token", json=body).status_code == status
            assert_counted_once(before, web.anybody.get("/metrics").text, "POST", "/auth/token", status)


def test_drift_is_counted_once_for_an_upload_however_often_its_job_ends(web, small_zip):
    headers = {"Idempotency-Key": "drift"}
    before = web.anybody.get("/metrics").text
    job_id = upload(web.anna, small_zip, headers=headers).json()["job_id"]
    upload(web.anna, small_zip, headers=headers)
    for verb in ("cancel", "retry", "cancel"):
        web.anna.post(f"/jobs/{job_id}/{verb}")
    after = web.anybody.get("/metrics").text
    name, low = "reconflow_drift_total", {"severity": "low"}
    assert count(after, name, **low) == count(before, name, **low) + 1


def test_a_job_whose_runner_is_gone_is_not_worked_on(tmp_path, small_zip, site):
    with site(tmp_path) as web:
        upload(web.anna, small_zip)
        web.service.ledger.claim("runner", lease_s=0.5)
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


def test_browsers_are_told_to_keep_their_hands_off(web):
    headers = web.anybody.get("/").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert "access-control-allow-origin" not in headers


def test_an_upload_over_the_limit_is_refused_before_it_is_stored(tmp_path, small_zip, site):
    with site(tmp_path, max_upload_bytes=1000) as web:
        answer = upload(web.anna, small_zip)
        assert answer.status_code == 413
        chunks = (small_zip[i : i + 500] for i in range(0, len(small_zip), 500))
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        with httpx.Client(base_url=web.url, headers=web.anna.headers) as client:
            answer = client.post(
                "/upload", content=iter([head, *chunks]), headers={"Content-Type": "multipart/form-data; boundary=b"}
            )
        assert answer.status_code == 413
        assert list(web.service.files.incoming.iterdir()) == []


def test_an_upload_that_does_not_fit_the_disk_is_refused(tmp_path, small_zip, site):
    with site(tmp_path) as web:
        web.service.files._min_free_bytes = 1 << 60
        answer = upload(web.anna, small_zip)
        assert (answer.status_code, "disk space" in answer.json()["detail"]) == (507, True)
        assert answer.json()["error_code"] == "disk_full"


def test_a_disk_that_fills_up_while_an_upload_of_unknown_length_comes_ends_it(tmp_path, site):
    on_disk = []
    with site(tmp_path) as web:

        def body():
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
            yield bytes(1 << 20)
            while not list(web.service.files.incoming.iterdir()):  # until it has begun, with room enough
                time.sleep(0.01)
            web.service.files._min_free_bytes = 1 << 60
            for _ in range(120):
                yield bytes(1 << 20)
                with contextlib.suppress(FileNotFoundError):
                    on_disk.extend(path.stat().st_size for path in web.service.files.incoming.iterdir())

        headers = dict(web.anna.headers) | {"Content-Type": "multipart/form-data; boundary=b"}
        answer = httpx.post(f"{web.url}/upload", content=body(), headers=headers, timeout=60)
        assert (answer.status_code, answer.json()["error_code"]) == (507, "disk_full")
        assert 50 << 20 < max(on_disk) < 70 << 20
        assert list(web.service.files.incoming.iterdir()) == []


def test_too_many_failed_logins_are_throttled_and_good_ones_are_not(tmp_path, site):
    with site(tmp_path) as web:
        wrong = {"username": "anna", "password": "guess"}
        codes = [web.anybody.post("/auth/token", json=wrong).status_code for _ in range(12)]
        assert codes == [401] * 10 + [429] * 2
        assert web.anybody.post("/auth/token", json=wrong).headers["retry-after"] == "300"
        right = {"username": "ben", "password": PASSWORD}
        assert web.anybody.post("/auth/token", json=right).status_code == 200


def test_uploads_may_be_far_larger_than_other_bodies_and_other_bodies_may_not(web, small_zip):
    with zipfile.ZipFile(io.BytesIO(small_zip)) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in [*files, ("notes.txt", bytes(5 << 20))]:
            archive.writestr(name, data)
    assert upload(web.anna, content.getvalue()).status_code == 202
    assert web.anna.post("/drift", files={"file": ("a.zip", content.getvalue())}).status_code == 200
    huge = {"username": "x" * (2 << 20), "password": "x"}
    assert web.anybody.post("/auth/token", json=huge).status_code == 413


def test_a_stream_of_a_job_that_is_tried_again_goes_on_past_the_first_end(web, small_zip):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    for verb in ("cancel", "retry", "cancel"):
        assert web.anna.post(f"/jobs/{job_id}/{verb}").status_code == 200
    answer = web.anna.get(f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    assert re.findall('"stage":"(.*?)"', answer.text) == ["queued", "cancelled", "queued", "cancelled"]
    heard = {"Accept": "text/event-stream", "Last-Event-ID": re.findall(r"id: (\d+)", answer.text)[-1]}
    assert "data:" not in web.anna.get(f"/jobs/{job_id}/events", headers=heard).text
