"""What is taken as an upload, and what is refused."""

import base64
import contextlib
import io
import time
import uuid
import zipfile

import httpx
import pytest


def test_an_upload_becomes_a_waiting_job_of_its_owner(web, queued):
    body = web.anna.get(f"/jobs/{queued}").json()
    assert uuid.UUID(body["job_id"])
    assert (body["stage"], body["status"], body["progress"], body["n_images"]) == ("queued", "queued", 0, 5)
    assert (body["error"], body["download_url"], body["finished_at"], body["has_drift"]) == (None, None, None, False)
    assert web.anna.get(f"/status/{queued}").json() == body
    assert web.ben.get(f"/jobs/{queued}").status_code == 404
    assert web.admin.get(f"/jobs/{queued}").status_code == 200


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
        (None, {"options": '{"shortlist": {"retrieval": "nonsense"}}'}, "shortlist.retrieval: unknown retriever"),
        (None, {"options": '{"shortlist": {"retrieval": "dinov2-vitl14"}}'}, "get dinov2_vitl14_pretrain.pth from"),
        (None, {"options": '{"ingest": {"max_megapixels": 401}}'}, "ingest.max_megapixels must be at most 400"),
        (None, {"options": '{"ingest": {"max_megapixels": 1e300}}'}, "max_megapixels"),
        (None, {"options": '{"reconstruct": {"threads": 1025}}'}, "reconstruct.threads"),
        (None, {"options": '{"verify": {"max_trials": 1000000000}}'}, "verify.max_trials must be 10 to 100000"),
        (None, {"options": '{"shortlist": {"exhaustive_up_to": 100000}}'}, "exhaustive_up_to must be 0 to 2000"),
        (None, {"options": '{"shortlist": {"partners_cap": 100000}}'}, "partners_cap must be 1 to 1000"),
        (None, {"options": '{"verify": {"seed": -1}}'}, "verify.seed must be 0 to 2147483647"),
        (None, {"options": '{"execution": {"images_per_tile": 1000000}}'}, "execution"),
        (None, {"dataset_name": "a/b"}, "dataset_name"),
        (None, {"scene_name": ""}, "scene_name"),
        (None, {"webhook_url": "file:///etc/passwd"}, "webhook_url"),
        (None, {"webhook_url": "http://a..b/"}, "webhook_url"),
        (None, {"surprise": "x"}, "unknown field 'surprise'"),
    ],
)
def test_a_wrong_upload_is_refused_with_a_sentence_and_leaves_nothing(web, small_zip, content, fields, words, upload):
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


def test_the_same_idempotency_key_gives_the_same_job(web, small_zip, upload):
    headers = {"Idempotency-Key": "once"}
    ids = {upload(web.anna, small_zip, headers=headers).json()["job_id"] for _ in range(2)}
    assert len(ids) == 1
    assert upload(web.ben, small_zip, headers=headers).json()["job_id"] not in ids


@pytest.mark.parametrize("resumable", [False, True])
def test_what_comes_under_a_key_again_is_not_looked_at_and_leaves_nothing(web, small_zip, upload, resumable):
    job_id = upload(web.anna, small_zip, headers={"Idempotency-Key": "again"}).json()["job_id"]
    before = sorted(web.service.files.jobs.iterdir())
    if resumable:
        told = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Content-Type": "application/offset+octet-stream"}
        key = {"Upload-Metadata": f"idempotency_key {base64.b64encode(b'again').decode()}"}
        place = web.anna.post("/uploads", content=b"not a zip", headers=told | key).headers["location"]
        answer = web.anna.post(f"{place}/job")
        assert [path.name for path in (web.service.files.uploads / place.rpartition("/")[2]).iterdir()] == [
            "about.json"
        ]
    else:
        answer = upload(web.anna, b"not a zip", headers={"Idempotency-Key": "again"})
    assert (answer.status_code, answer.json()["job_id"]) == (202, job_id)
    assert sorted(web.service.files.jobs.iterdir()) == before
    assert list(web.service.files.incoming.iterdir()) == []


def test_an_upload_over_the_limit_is_refused_before_it_is_stored(tmp_path, small_zip, own_site, upload):
    with own_site(tmp_path, max_upload_bytes=1000) as web:
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


def test_an_upload_that_does_not_fit_the_disk_is_refused(tmp_path, small_zip, own_site, upload):
    with own_site(tmp_path) as web:
        web.service.files._min_free_bytes = 1 << 60
        answer = upload(web.anna, small_zip)
        assert (answer.status_code, "disk space" in answer.json()["detail"]) == (507, True)
        assert answer.json()["error_code"] == "disk_full"


def test_a_disk_that_fills_up_while_an_upload_of_unknown_length_comes_ends_it(tmp_path, own_site):
    on_disk = []
    with own_site(tmp_path) as web:

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


def test_uploads_may_be_far_larger_than_other_bodies_and_other_bodies_may_not(web, small_zip, upload):
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
