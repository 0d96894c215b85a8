"""Requests that no client of ours sends: each is answered with what is wrong with it."""

import pytest


@pytest.fixture(scope="module")
def queued(web, small_zip):
    return web.anna.post("/upload", files={"file": ("photos.zip", small_zip)}).json()["job_id"]


DEEP = "[" * 30_000 + "]" * 30_000


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("POST", "/auth/token", {"content": DEEP}, 400),
        ("POST", "/auth/token", {"content": f'{{"username": "a", "password": "b", "more": {DEEP}}}'}, 400),
        ("POST", "/auth/refresh", {"content": f'{{"refresh_token": {DEEP}}}'}, 400),
        ("POST", "/jobs/{}/retry", {"content": f'{{"options": {DEEP}}}'}, 400),
        ("POST", "/upload", {"files": {"file": ("a.zip", b"PK")}, "data": {"options": DEEP}}, 400),
        ("GET", f"/jobs?limit={'9' * 5000}", {}, 400),
        ("GET", f"/jobs?cursor={'9' * 5000}", {}, 400),
        ("GET", f"/jobs/{{}}/events?after={'9' * 5000}", {}, 400),
        ("DELETE", "/auth/keys/%00", {}, 404),
        ("GET", "/jobs/%00", {}, 404),
        ("HEAD", "/uploads/%00", {"headers": {"Tus-Resumable": "1.0.0"}}, 404),
    ],
)
def test_what_nobody_would_send_is_answered_with_what_is_wrong(web, queued, method, path, given, status):
    answer = web.anna.request(method, path.format(queued), **given)
    assert answer.status_code == status
    assert method == "HEAD" or answer.json()["detail"]
