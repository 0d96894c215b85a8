"""Resumable uploads over HTTP against a real server; what a kill leaves is in test_uploads_survive.py."""

import base64
import concurrent.futures
import hashlib
import os
import socket
import threading
import time
import uuid
from email.utils import parsedate_to_datetime

import httpx
import pytest

from reconflow.jobs.uploads import Uploads

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


def metadata(**fields):
    return ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in fields.items())


def begin(client, length, headers=(), **fields):
    told = {"Upload-Length": str(length)} | ({"Upload-Metadata": metadata(**fields)} if fields else {})
    return client.post("/uploads", headers=TUS | told | dict(headers))


def place(client, length, **fields):
    answer = begin(client, length, **fields)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def send(client, url, offset, content, headers=()):
    return client.patch(url, content=content, headers=PIECE | {"Upload-Offset": str(offset)} | dict(headers))


def offset(client, url):
    answer = client.head(url, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def sha(content, algorithm="sha256"):
    digest = hashlib.new(algorithm, content).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}


def kept(web):
    return list(web.service.files.uploads.iterdir())


def test_the_service_says_what_it_speaks_to_anybody(web):
    answer = web.anybody.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,creation-with-upload,termination,expiration,checksum"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert int(answer.headers["tus-max-size"]) == web.service.settings.max_upload_bytes


def test_pieces_become_a_job_like_an_upload_in_one_go(web, small_zip):
    url = place(web.anna, len(small_zip), filename="a.zip", dataset_name="yard", scene_name="north")
    first = send(web.anna, url, 0, small_zip[:1000])
    assert (first.status_code, first.headers["upload-offset"], first.content) == (204, "1000", b"")
    told = web.anna.head(url, headers=TUS)
    assert (told.headers["upload-offset"], told.headers["upload-length"]) == ("1000", str(len(small_zip)))
    assert told.headers["upload-metadata"] == metadata(filename="a.zip", dataset_name="yard", scene_name="north")
    assert told.headers["cache-control"] == "no-store"
    assert send(web.anna, url, 1000, small_zip[1000:]).headers["upload-offset"] == str(len(small_zip))
    answer = web.anna.post(f"{url}/job")
    assert (answer.status_code, answer.json()["message"]) == (202, "Pipeline started.")
    job = web.anna.get(f"/jobs/{answer.json()['job_id']}").json()
    assert (job["stage"], job["n_images"], job["dataset_name"], job["scene_name"]) == ("queued", 5, "yard", "north")
    assert web.anna.post(f"{url}/job").json() == answer.json()
    assert offset(web.anna, url) == len(small_zip)
    assert send(web.anna, url, len(small_zip), b"").status_code == 410


def test_a_first_piece_may_come_with_the_creation(web, small_zip):
    headers = PIECE | {"Upload-Length": str(len(small_zip))} | sha(small_zip[:700], "sha1")
    answer = web.anna.post("/uploads", content=small_zip[:700], headers=headers)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "700")
    assert offset(web.anna, answer.headers["location"]) == 700


def test_only_its_owner_finds_an_upload(web, small_zip):
    url = place(web.anna, len(small_zip))
    for client in (web.ben, web.admin):
        assert client.head(url, headers=TUS).status_code == 404
        assert send(client, url, 0, b"x").status_code == 404
        assert client.delete(url, headers=TUS).status_code == 404
        assert client.post(f"{url}/job").status_code == 404
    assert web.anybody.head(url, headers=TUS).status_code == 401
    assert web.anna.head(f"/uploads/{uuid.uuid4()}", headers=TUS).status_code == 404
    assert web.anna.head("/uploads/..%2f..%2fjobs", headers=TUS).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Offset": "0"}, 412),
        ({"Upload-Offset": "0", "Tus-Resumable": "0.2.2"}, 412),
        (TUS | {"Upload-Offset": "0", "Content-Type": "application/zip"}, 415),
        (PIECE | {"Upload-Offset": "1"}, 409),
        (PIECE | {"Upload-Offset": "-1"}, 400),
        (PIECE, 400),
        (PIECE | {"Upload-Offset": "0", "Upload-Checksum": "md5 AAAA"}, 400),
        (PIECE | {"Upload-Offset": "0", "Upload-Checksum": "sha1 !"}, 400),
        (PIECE | {"Upload-Offset": "0", "Upload-Checksum": "sha1 AAAA"}, 460),
    ],
)
def test_a_wrong_piece_is_refused_and_nothing_of_it_kept(web, headers, status):
    url = place(web.anna, 100)
    answer = web.anna.patch(url, content=b"x" * 10, headers=headers)
    assert (answer.status_code, answer.headers["tus-resumable"]) == (status, "1.0.0")
    assert answer.json()["detail"]
    assert offset(web.anna, url) == 0


def test_more_bytes_than_announced_are_refused(web):
    url = place(web.anna, 10)
    assert send(web.anna, url, 0, b"x" * 11).status_code == 413
    assert offset(web.anna, url) == 0
    assert send(web.anna, url, 0, iter([b"x" * 8, b"y" * 8])).status_code == 413
    assert offset(web.anna, url) <= 10


def test_pieces_with_checksums_come_through_and_wrong_ones_can_be_sent_again(web, small_zip):
    url = place(web.anna, len(small_zip))
    half = len(small_zip) // 2
    assert send(web.anna, url, 0, small_zip[:half], sha(small_zip[:half], "sha1")).status_code == 204
    assert send(web.anna, url, half, small_zip[half:], sha(b"other")).status_code == 460
    assert offset(web.anna, url) == half
    assert send(web.anna, url, half, small_zip[half:], sha(small_zip[half:])).status_code == 204
    assert web.anna.post(f"{url}/job").status_code == 202


@pytest.mark.parametrize(
    ("length", "fields", "status", "words"),
    [
        (10, {"options": "{"}, 400, "options: not valid JSON"),
        (10, {"options": '{"match": {"ration": 0.8}}'}, 400, "did you mean match.ratio"),
        (10, {"dataset_name": "a/b"}, 400, "dataset_name"),
        (10, {"webhook_url": "file:///etc/passwd"}, 400, "webhook_url"),
        (10, {"surprise": "x"}, 400, "unknown key 'surprise'"),
        ("", {}, 400, "Upload-Length"),
        ("9" * 30, {}, 400, "Upload-Length"),
        (1 << 50, {}, 413, "larger than"),
    ],
)
def test_a_creation_that_could_become_no_job_is_refused_and_leaves_nothing(web, length, fields, status, words):
    before = kept(web)
    answer = begin(web.anna, length, **fields)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert kept(web) == before


def test_metadata_must_be_text_in_base64(web):
    for value in ("dataset_name !", "dataset_name /w=="):
        assert begin(web.anna, 10, headers={"Upload-Metadata": value}).status_code == 400


def test_an_upload_that_does_not_fit_the_disk_is_refused_by_its_announced_length(tmp_path, site):
    with site(tmp_path) as web:
        assert begin(web.anna, 10).status_code == 201
        web.service.files._min_free_bytes = 1 << 60
        answer = begin(web.anna, 10)
        assert (answer.status_code, answer.json()["error_code"]) == (507, "disk_full")


def test_a_job_needs_all_bytes(web, small_zip):
    url = place(web.anna, len(small_zip))
    send(web.anna, url, 0, small_zip[:-1])
    answer = web.anna.post(f"{url}/job")
    assert (answer.status_code, "send the rest first" in answer.json()["detail"]) == (409, True)
    send(web.anna, url, len(small_zip) - 1, small_zip[-1:])
    assert web.anna.post(f"{url}/job").status_code == 202


def test_what_is_no_zip_of_photos_is_refused_as_often_as_one_asks_and_keeps_no_bytes(web):
    url = place(web.anna, 9)
    send(web.anna, url, 0, b"not a zip")
    answers = [web.anna.post(f"{url}/job") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json() == answers[1].json()
    assert "not a ZIP" in answers[0].json()["detail"]
    assert web.anna.head(url, headers=TUS).status_code == 410
    folder = web.service.files.uploads / url.rpartition("/")[2]
    assert [path.name for path in folder.iterdir()] == ["about.json"]
    assert not (web.service.files.jobs / folder.name).exists()


def test_a_full_disk_refuses_nothing_for_ever(tmp_path, site, small_zip):
    with site(tmp_path) as web:
        url = place(web.anna, len(small_zip))
        send(web.anna, url, 0, small_zip)
        reserve, web.service.files._min_free_bytes = web.service.files._min_free_bytes, 1 << 60
        assert web.anna.post(f"{url}/job").status_code == 507
        web.service.files._min_free_bytes = reserve
        assert web.anna.post(f"{url}/job").status_code == 202


FULL = """
import errno, os

def fsync(_):
    raise OSError(errno.{}, "no room")

if "-m" in __import__("sys").orig_argv:
    os.fsync = fsync
"""


@pytest.mark.parametrize("reason", ["ENOSPC", "EDQUOT"])
def test_a_disk_that_is_full_while_photos_are_unpacked_refuses_nothing_for_ever(
    tmp_path, site, small_zip, monkeypatch, reason
):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(FULL.format(reason))
    with site(tmp_path / "data") as web:
        url = place(web.anna, len(small_zip))
        send(web.anna, url, 0, small_zip)
        with monkeypatch.context() as full:  # every write of the process that unpacks fails at its end
            full.setenv("PYTHONPATH", str(tmp_path / "broken"), prepend=os.pathsep)
            answer = web.anna.post(f"{url}/job")
        assert (answer.status_code, answer.json()["error_code"]) == (507, "disk_full")
        assert offset(web.anna, url) == len(small_zip)
        assert web.anna.post(f"{url}/job").status_code == 202


def test_an_idempotency_key_holds_across_both_ways_to_upload(web, small_zip):
    headers = {"Idempotency-Key": "both ways"}
    whole = web.ben.post("/upload", files={"file": ("a.zip", small_zip)}, headers=headers).json()["job_id"]
    url = place(web.ben, len(small_zip), idempotency_key="both ways")
    send(web.ben, url, 0, small_zip)
    assert web.ben.post(f"{url}/job").json()["job_id"] == whole
    assert not (web.service.files.jobs / url.rpartition("/")[2]).exists()


def test_a_deleted_upload_is_gone(web):
    url = place(web.anna, 10)
    assert web.anna.delete(url, headers=TUS).status_code == 204
    assert web.anna.head(url, headers=TUS).status_code == 404
    assert not (web.service.files.uploads / url.rpartition("/")[2]).exists()


def test_a_proxy_that_knows_only_post_does_no_harm(web):
    url = place(web.anna, 10)
    override = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    assert web.anna.post(url, content=b"0123456789", headers=PIECE | override).status_code == 204
    assert offset(web.anna, url) == 10


class SlowPiece:
    """A PATCH over a raw connection, sent bit by bit."""

    def __init__(self, web, url, at, size, headers=()):
        host, port = web.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        lines = PIECE | {"Upload-Offset": str(at), "Content-Length": str(size), "Host": host} | dict(headers)
        lines |= {"Authorization": web.anna.headers["authorization"]}
        head = f"PATCH {url} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.socket.sendall(head.encode() + b"\r\n")

    def send(self, content):
        self.socket.sendall(content)

    def cut(self):
        self.socket.close()


def until(condition, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_piece_whose_connection_is_cut_keeps_what_arrived(web, small_zip):
    url = place(web.anna, len(small_zip))
    piece = SlowPiece(web, url, 0, len(small_zip))
    piece.send(small_zip[:5000])
    until(lambda: offset(web.anna, url) == 5000)
    piece.cut()
    until(lambda: send(web.anna, url, 5000, small_zip[5000:]).status_code == 204)
    assert web.anna.post(f"{url}/job").status_code == 202


def test_a_cut_piece_with_a_checksum_is_dropped_for_nobody_can_check_it(web, small_zip):
    url = place(web.anna, len(small_zip))
    piece = SlowPiece(web, url, 0, len(small_zip), sha(small_zip))
    piece.send(small_zip[:5000])
    path = web.service.files.uploads / url.rpartition("/")[2] / "photos.zip"
    until(lambda: path.stat().st_size == 5000)
    assert offset(web.anna, url) == 0
    piece.cut()
    until(lambda: send(web.anna, url, 0, small_zip, sha(small_zip)).status_code == 204)
    assert path.read_bytes() == small_zip


def test_of_two_pieces_at_once_one_wins_and_the_other_is_told_to_wait(web):
    url = place(web.anna, 2000)
    piece = SlowPiece(web, url, 0, 2000)
    piece.send(b"a" * 1000)
    until(lambda: offset(web.anna, url) == 1000)
    for at in (0, 1000):
        answer = send(web.anna, url, at, b"b" * 1000)
        assert (answer.status_code, answer.headers["retry-after"]) == (423, "1")
    assert web.anna.delete(url, headers=TUS).status_code == 423
    piece.send(b"a" * 1000)
    until(lambda: offset(web.anna, url) == 2000)
    path = web.service.files.uploads / url.rpartition("/")[2] / "photos.zip"
    assert path.read_bytes() == b"a" * 2000
    piece.cut()


def test_a_crowd_of_writers_interleaves_nothing(web):
    url, size = place(web.anna, 400_000), 200_000
    contents = [bytes([letter]) * size for letter in b"abcdefgh"]
    start = threading.Barrier(len(contents))

    def attempt(content):
        with httpx.Client(base_url=web.url, headers=web.anna.headers, timeout=60) as client:
            start.wait()
            return send(client, url, 0, iter([content[: size // 2], content[size // 2 :]])).status_code

    with concurrent.futures.ThreadPoolExecutor(len(contents)) as pool:
        codes = list(pool.map(attempt, contents))
    assert codes.count(204) == 1
    assert set(codes) <= {204, 409, 423}
    path = web.service.files.uploads / url.rpartition("/")[2] / "photos.zip"
    assert path.read_bytes() == contents[codes.index(204)]


def test_two_who_ask_for_the_job_at_once_get_one(web, small_zip):
    url = place(web.anna, len(small_zip))
    send(web.anna, url, 0, small_zip)

    def ask(_):
        with httpx.Client(base_url=web.url, headers=web.anna.headers, timeout=60) as client:
            while (answer := client.post(f"{url}/job")).status_code == 423:
                time.sleep(0.05)
            return answer.json()["job_id"]

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(ask, range(3)))) == 1


def test_an_upload_expires_after_its_last_byte_and_is_swept_and_others_stay(tmp_path, site):
    with site(tmp_path, upload_expiry_s=1.0) as web:
        url = place(web.anna, 10)
        expires = parsedate_to_datetime(web.anna.head(url, headers=TUS).headers["upload-expires"]).timestamp()
        assert abs(expires - time.time()) < 2.5
        until(lambda: web.anna.head(url, headers=TUS).status_code == 410)
        assert send(web.anna, url, 0, b"x").status_code == 410
        fresh = Uploads(web.service.files.uploads, lifetime_s=60)
        about = web.service.uploads._all()[0]
        stays = fresh.create(about.owner_id, length=10, metadata="", form=about.form)
        (web.service.files.uploads / "unknown").mkdir()
        web.service.files.sweep(is_job=lambda _: True)
        assert {path.name for path in kept(web)} == {stays.upload_id, "unknown"}
        assert web.anna.head(url, headers=TUS).status_code == 404


def test_unfinished_uploads_are_limited_and_deleting_one_makes_room(tmp_path, site, monkeypatch):
    monkeypatch.setattr("reconflow.jobs.uploads._MOST_OPEN", 3)
    with site(tmp_path) as web:
        urls = [place(web.anna, 10) for _ in range(3)]
        answer = begin(web.anna, 10)
        assert (answer.status_code, "finish or delete" in answer.json()["detail"]) == (429, True)
        assert begin(web.ben, 10).status_code == 201
        web.anna.delete(urls[0], headers=TUS)
        assert begin(web.anna, 10).status_code == 201


def test_pieces_are_not_taken_into_the_reserve_of_the_disk_and_go_on_once_there_is_room(tmp_path, small_zip, site):
    with site(tmp_path) as web:
        url = place(web.anna, len(small_zip))
        assert send(web.anna, url, 0, small_zip[:1000]).status_code == 204
        reserve, web.service.files._min_free_bytes = web.service.files._min_free_bytes, 1 << 60
        answer = send(web.anna, url, 1000, small_zip[1000:])
        assert (answer.status_code, answer.json()["error_code"]) == (507, "disk_full")
        web.service.files._min_free_bytes = reserve
        assert offset(web.anna, url) == 1000
        assert send(web.anna, url, 1000, small_zip[1000:]).status_code == 204
        assert web.anna.post(f"{url}/job").status_code == 202
