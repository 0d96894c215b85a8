"""Jobs: asked for, listed, found, watched, cancelled and tried again."""

import itertools
import re
import threading
import uuid

import pytest
from sqlalchemy import insert

from reconflow.jobs.stage_times import stage_seconds
from reconflow.jobs.tables import events


def test_head_answers_like_get_without_a_body(web, queued):
    answer = web.anna.head(f"/jobs/{queued}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert web.anna.head(f"/jobs/{uuid.uuid4()}").status_code == 404


def test_head_of_a_live_stream_is_answered_at_once(web, queued):
    answer = web.anna.head(f"/jobs/{queued}/events", headers={"Accept": "text/event-stream"}, timeout=10)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert web.anna.get(f"/jobs/{queued}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/download/jobs/{}", "/download/jobs/{}/csv", "/download/jobs/{}/a.ply", "/jobs/{}/images"]
)
def test_results_of_an_unfinished_job_are_a_conflict_and_of_an_unknown_one_not_found(web, queued, path):
    assert web.anna.get(path.format(queued)).status_code == 409
    assert web.anna.get(path.format(uuid.uuid4())).status_code == 404
    assert web.anna.get(path.format("no-id")).status_code == 404


def test_jobs_are_listed_newest_first_in_pages_of_ones_own(web, small_zip, upload):
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


def test_jobs_are_found_by_words_and_by_several_stages(web, small_zip, upload):
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


def test_administrators_are_told_whose_a_job_is(web, small_zip, upload):
    job_id = upload(web.anna, small_zip, dataset_name="owned").json()["job_id"]
    assert web.anna.get(f"/jobs/{job_id}").json()["owner"] is None
    for path in (f"/jobs/{job_id}", f"/status/{job_id}"):
        assert web.admin.get(path).json()["owner"] == "anna"
    assert [job["owner"] for job in web.admin.get("/jobs", params={"dataset": "owned"}).json()["jobs"]] == ["anna"]
    assert web.admin.post(f"/jobs/{job_id}/cancel").json()["owner"] == "anna"


def test_a_waiting_job_is_cancelled_retried_and_deleted(web, small_zip, upload):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    assert web.anna.post(f"/jobs/{job_id}/retry").status_code == 409
    assert web.anna.post(f"/jobs/{job_id}/cancel").json()["stage"] == "cancelled"
    assert web.anna.post(f"/jobs/{job_id}/cancel").status_code == 409
    fresh = web.anna.post(f"/jobs/{job_id}/retry", json={"options": {"match": {"ratio": 0.7}}}).json()
    assert (fresh["stage"], fresh["options"]["match"]["ratio"]) == ("queued", 0.7)
    assert web.anna.delete(f"/jobs/{job_id}").status_code == 204
    assert web.anna.get(f"/jobs/{job_id}").status_code == 404


def test_points_of_a_job_under_way_are_sent_once(web, small_zip, upload):
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


def test_a_stream_tells_what_happens_and_ends_with_the_job(web, small_zip, upload):
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


def test_a_stream_with_nothing_to_tell_sends_comments_and_no_event(web, small_zip, upload, monkeypatch):
    monkeypatch.setattr("webapp.streams._HEARTBEAT_S", 0.2)
    job_id = upload(web.anna, small_zip).json()["job_id"]
    threading.Timer(1.5, lambda: web.service.ledger.request_cancel(job_id)).start()
    answer = web.anna.get(f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    blocks = re.split(r"(?:\r?\n){2,}", answer.text.strip())
    assert blocks.count(": still there") > 1
    assert all(block == ": still there" or re.search(r"^data: \{", block, re.MULTILINE) for block in blocks)


def test_a_stream_of_a_job_that_is_tried_again_goes_on_past_the_first_end(web, small_zip, upload):
    job_id = upload(web.anna, small_zip).json()["job_id"]
    for verb in ("cancel", "retry", "cancel"):
        assert web.anna.post(f"/jobs/{job_id}/{verb}").status_code == 200
    answer = web.anna.get(f"/jobs/{job_id}/events", headers={"Accept": "text/event-stream"})
    assert re.findall('"stage":"(.*?)"', answer.text) == ["queued", "cancelled", "queued", "cancelled"]
    heard = {"Accept": "text/event-stream", "Last-Event-ID": re.findall(r"id: (\d+)", answer.text)[-1]}
    assert "data:" not in web.anna.get(f"/jobs/{job_id}/events", headers=heard).text


def test_a_long_log_is_read_in_parts_and_counted_whole(web, small_zip, upload):
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
    seconds = stage_seconds(ledger, job_id)
    assert seconds == {"extracting": 1, "matching": 300, "triangulating": 1, "decimating": 2}
