"""Accounts that change while their tokens are out, against a real server."""

import pytest

PASSWORD = "correct horse"


@pytest.fixture
def carla(web):
    """An account with a session and a key, and clients' headers for both."""
    made = web.admin.post("/users", json={"username": "carla", "password": PASSWORD}).json()
    session = web.login("carla")
    token = {"Authorization": f"Bearer {session['access_token']}"}
    key = web.anybody.post("/auth/keys", json={"label": "script"}, headers=token).json()
    yield made | {"session": session, "token": token, "key": key}
    web.admin.delete(f"/users/{made['user_id']}")


def status(web, headers, path="/jobs"):
    return web.anybody.get(path, headers=headers).status_code


def test_a_removed_account_is_out_at_once(web, carla):
    key = {"Authorization": f"Bearer {carla['key']['key']}"}
    assert {status(web, carla["token"]), status(web, key)} == {200}
    assert web.admin.delete(f"/users/{carla['user_id']}").status_code == 204
    assert {status(web, carla["token"]), status(web, key)} == {401}
    assert web.admin.delete(f"/users/{carla['user_id']}").status_code == 404
    rest = {"refresh_token": carla["session"]["refresh_token"]}
    assert web.anybody.post("/auth/refresh", json=rest).status_code == 401


def test_a_role_counts_at_once(web, carla):
    place = f"/users/{carla['user_id']}"
    assert status(web, carla["token"], "/users") == 403
    assert web.admin.patch(place, json={"role": "admin"}).json()["role"] == "admin"
    assert status(web, carla["token"], "/users") == 200
    assert web.admin.patch(place, json={"role": "user"}).json()["role"] == "user"
    assert status(web, carla["token"], "/users") == 403
    assert web.admin.patch(place, json={"role": "root"}).status_code == 400
    assert web.admin.patch("/users/nobody", json={"role": "user"}).status_code == 404


@pytest.fixture
def opens(web, carla, small_zip):
    """Says what a link that she made opens: her own job, or, as long as she administers, that of somebody else."""

    web.admin.patch(f"/users/{carla['user_id']}", json={"role": "admin"})
    photos, token = {"file": ("photos.zip", small_zip)}, carla["token"]
    made = {
        "hers": web.anybody.post("/upload", files=photos, headers=token),
        "anna's": web.anna.post("/upload", files=photos),
    }
    jobs = {whose: answer.json()["job_id"] for whose, answer in made.items()}
    links = {whose: web.anybody.post(f"/jobs/{job}/links", headers=token).json() for whose, job in jobs.items()}

    def told(whose):
        asked = {"link": links[whose]["link"]}
        return web.anybody.get(f"/download/jobs/{jobs[whose]}/report", params=asked).status_code

    return told


LET_IN = 409
"""The job has not ended."""


def test_links_of_a_removed_account_are_worthless(web, carla, opens):
    assert opens("hers") == LET_IN
    web.admin.delete(f"/users/{carla['user_id']}")
    assert opens("hers") == 401


def test_links_go_by_the_role_that_an_account_has_now(web, carla, opens):
    assert opens("anna's") == LET_IN
    web.admin.patch(f"/users/{carla['user_id']}", json={"role": "user"})
    assert (opens("anna's"), opens("hers")) == (404, LET_IN)


def test_a_new_password_ends_links(web, carla, opens):
    web.admin.patch(f"/users/{carla['user_id']}", json={"password": "another horse"})
    assert opens("hers") == 401


def test_a_password_that_was_reset_ends_sessions(web, carla):
    answer = web.admin.patch(f"/users/{carla['user_id']}", json={"password": "another horse"})
    assert answer.status_code == 200
    assert status(web, carla["token"]) == 401
    for password, expected in ((PASSWORD, 401), ("another horse", 200)):
        login = web.anybody.post("/auth/token", json={"username": "carla", "password": password})
        assert login.status_code == expected
    assert web.admin.patch(f"/users/{carla['user_id']}", json={"password": "short"}).status_code == 400


def test_ones_own_password_is_changed_by_who_knows_it(web, carla):
    def change(current, new):
        given = {"current": current, "new": new}
        return web.anybody.put("/auth/password", json=given, headers=carla["token"]).status_code

    assert change("wrong one", "another horse") == 403
    assert change(PASSWORD, "short") == 400
    assert change(PASSWORD, "another horse") == 204
    assert status(web, carla["token"]) == 401
    fresh = web.anybody.post("/auth/token", json={"username": "carla", "password": "another horse"}).json()
    assert status(web, {"Authorization": f"Bearer {fresh['access_token']}"}) == 200


def test_the_last_administrator_stays(web):
    [admin] = [user for user in web.admin.get("/users").json()["users"] if user["role"] == "admin"]
    for answer in (
        web.admin.delete(f"/users/{admin['user_id']}"),
        web.admin.patch(f"/users/{admin['user_id']}", json={"role": "user"}),
    ):
        assert answer.status_code == 409
        assert "only administrator" in answer.json()["detail"]


def test_everybodys_keys_are_an_administrators_to_see_and_delete(web, carla):
    key_id = carla["key"]["key_id"]
    listed = web.admin.get("/admin/keys")
    assert carla["key"]["key"] not in listed.text
    assert {key["key_id"]: key["user_id"] for key in listed.json()["keys"]}[key_id] == carla["user_id"]
    assert web.admin.delete(f"/admin/keys/{key_id}").status_code == 204
    assert web.admin.delete(f"/admin/keys/{key_id}").status_code == 404
    assert status(web, {"Authorization": f"Bearer {carla['key']['key']}"}) == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/users/x"), ("DELETE", "/users/x"), ("GET", "/admin/keys"), ("DELETE", "/admin/keys/x")],
)
def test_users_do_not_touch_accounts_of_others(web, method, path):
    answer = web.anna.request(method, path, json={} if method == "PATCH" else None)
    assert answer.status_code == 403
