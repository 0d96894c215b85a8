"""Sessions of the page, links to downloads, and what administrators see, against a real server."""

import time

import httpx
import pytest

PASSWORD = "correct horse"
WHO = {"username": "anna", "password": PASSWORD}


@pytest.fixture
def browser(web):
    """A client that keeps cookies, as a browser does."""
    with httpx.Client(base_url=web.url) as client:
        yield client


def test_the_page_gets_an_access_token_and_a_cookie_it_cannot_read(browser):
    answer = browser.post("/auth/session", json=WHO)
    body, cookie = answer.json(), answer.headers["set-cookie"]
    assert (body["name"], body["role"], body["expires_in"]) == ("anna", "user", 900)
    assert "refresh_token" not in body
    for words in ("HttpOnly", "SameSite=strict", "Path=/auth/session"):
        assert words.lower() in cookie.lower()
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert browser.get("/jobs", headers=headers).status_code == 200


def test_the_cookie_is_no_credential_elsewhere(browser):
    browser.post("/auth/session", json=WHO)
    assert browser.get("/jobs").status_code == 401


def test_a_session_is_renewed_and_ends(browser):
    browser.post("/auth/session", json=WHO)
    first = browser.cookies["reconflow_session"]
    renewed = browser.post("/auth/session/refresh")
    assert renewed.status_code == 200
    assert browser.cookies["reconflow_session"] != first
    bearer = {"Authorization": f"Bearer {renewed.json()['access_token']}"}
    assert browser.delete("/auth/session", headers=bearer).status_code == 204
    assert browser.get("/jobs", headers=bearer).status_code == 401
    assert browser.post("/auth/session/refresh").status_code == 204


def test_a_reload_while_the_session_is_renewed_does_not_end_it(web, browser):
    browser.post("/auth/session", json=WHO)
    old = {"Cookie": f"reconflow_session={browser.cookies['reconflow_session']}"}
    for _ in range(2):
        assert web.anybody.post("/auth/session/refresh", headers=old).status_code == 200


def test_an_ended_session_is_refused_and_its_cookie_dropped(web, browser):
    browser.post("/auth/session", json=WHO)
    web.accounts.sessions.end(browser.cookies["reconflow_session"])
    answer = browser.post("/auth/session/refresh")
    assert answer.status_code == 401
    assert "reconflow_session" not in browser.cookies


def test_another_site_cannot_renew_a_session(browser):
    browser.post("/auth/session", json=WHO)
    for site in ("cross-site", "same-site"):
        assert browser.post("/auth/session/refresh", headers={"Sec-Fetch-Site": site}).status_code == 403


def test_the_reuse_of_a_token_is_noticed_though_others_log_in_meanwhile(web):
    user = web.accounts.check_password("ben", PASSWORD, address="")
    first = web.accounts.sessions.start(user, lifetime_s=60).refresh_token
    second = web.accounts.sessions.rotate(first, lifetime_s=60).refresh_token
    web.accounts.sessions.start(user, lifetime_s=60)
    for token in (first, second):
        assert web.anybody.post("/auth/refresh", json={"refresh_token": token}).status_code == 401


@pytest.fixture(scope="module")
def job_id(web, small_zip):
    return web.anna.post("/upload", files={"file": ("photos.zip", small_zip)}).json()["job_id"]


@pytest.fixture(scope="module")
def link(web, job_id):
    return web.anna.post(f"/jobs/{job_id}/links").json()["link"]


def test_a_link_opens_what_its_job_made_and_nothing_else(web, small_zip, job_id, link):
    other = web.anna.post("/upload", files={"file": ("photos.zip", small_zip)}).json()["job_id"]
    asked = {"link": link}
    assert web.anybody.get(f"/download/jobs/{job_id}/report", params=asked).status_code == 409  # let in; not finished
    assert web.anybody.get(f"/jobs/{job_id}/thumbnail", params=asked | {"name": "x"}).status_code == 409
    assert web.anybody.get(f"/download/jobs/{other}/report", params=asked).status_code == 401
    assert web.anybody.get(f"/jobs/{job_id}", params=asked).status_code == 401
    assert web.anybody.delete(f"/jobs/{job_id}", params=asked).status_code == 401
    assert web.anybody.get(f"/jobs/{job_id}", headers={"Authorization": f"Bearer {link}"}).status_code == 401


def test_an_access_token_is_no_link_and_a_link_runs_out(web, job_id):
    from reconflow.jobs.records import User
    from webapp.tokens import encode_link

    access = web.login("anna")["access_token"]
    user = User(user_id="anna", name="anna", role="user", created_at=0.0)
    late = encode_link(user, job_id, secret="a secret of thirty-two bytes or more", lifetime_s=-1)
    for token in (access, late, "nonsense"):
        assert web.anybody.get(f"/download/jobs/{job_id}", params={"link": token}).status_code == 401


def test_only_the_owner_of_a_job_gets_links_to_it(web, job_id):
    assert web.ben.post(f"/jobs/{job_id}/links").status_code == 404
    assert web.anybody.post(f"/jobs/{job_id}/links").status_code == 401


def test_administrators_see_workers_queue_and_disk(web):
    from reconflow.jobs.records import RunnerState

    web.service.ledger.beat(RunnerState(runner="r", device="cpu", dashboard_url="http://d", seen_at=time.time()))
    body = web.admin.get("/admin/status").json()
    assert body["runners"][0]["dashboard_url"] == "http://d"
    assert 0 < body["free_bytes"] < body["total_bytes"]
    assert web.anna.get("/admin/status").status_code == 403
    web.service.ledger.forget_runner("r")
