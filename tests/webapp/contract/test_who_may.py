"""Who may do what: signing in, tokens, keys and accounts."""

import time

import jwt
import pytest

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


def test_too_many_failed_logins_are_throttled_and_good_ones_are_not(tmp_path, own_site):
    with own_site(tmp_path) as web:
        wrong = {"username": "anna", "password": "guess"}
        codes = [web.anybody.post("/auth/token", json=wrong).status_code for _ in range(12)]
        assert codes == [401] * 10 + [429] * 2
        assert web.anybody.post("/auth/token", json=wrong).headers["retry-after"] == "300"
        right = {"username": "ben", "password": PASSWORD}
        assert web.anybody.post("/auth/token", json=right).status_code == 200


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
