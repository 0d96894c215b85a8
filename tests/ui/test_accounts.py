"""Administrators look after accounts and keys; people after their own password."""

import pytest

pytestmark = pytest.mark.ui

OLD, NEW = "long enough", "longer than that"


@pytest.fixture
def dora(api):
    """An account with a key."""
    made = api.post("/users", json={"username": "dora", "password": OLD}).json()
    token = api.post("/auth/token", json={"username": "dora", "password": OLD}).json()["access_token"]
    key = api.post("/auth/keys", json={"label": "dora's"}, headers={"Authorization": f"Bearer {token}"}).json()["key"]
    yield made | {"key": key}
    api.delete(f"/users/{made['user_id']}")


def works(api, key):
    return api.get("/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_an_administrator_changes_and_removes_a_user_and_deletes_keys(signed_in, api, dora, shot):
    page = signed_in
    page.goto("/#/admin")
    row = page.get_by_role("row", name="dora User")
    row.get_by_role("button", name="Change dora").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Role").select_option("Administrator")
    dialog.get_by_label("New password").fill(NEW)
    shot(page, "user-change", full=False)
    dialog.get_by_role("button", name="Change").click()
    page.get_by_role("row", name="dora Administrator").wait_for()
    assert api.post("/auth/token", json={"username": "dora", "password": NEW}).status_code == 200
    page.get_by_role("button", name="Delete the key dora's").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("row", name="dora's").wait_for(state="detached")
    assert not works(api, dora["key"])
    page.get_by_role("button", name="Remove dora").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_role("row", name="dora").first.wait_for(state="detached")
    assert "dora" not in {user["name"] for user in api.get("/users").json()["users"]}
    assert page.get_by_role("button", name="Remove admin").count() == 0


def test_people_change_their_own_password_and_stay_signed_in(page, api, dora, shot):
    page.goto("/#/account")
    page.get_by_label("Name").fill("dora")
    page.get_by_label("Password").fill(OLD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Password").wait_for()
    page.get_by_label("Password now").fill("not this one")
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("The current password is not right.").wait_for()
    shot(page, "account-password")
    page.get_by_label("Password now").fill(OLD)
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("Your password is changed.").wait_for()
    page.reload()
    page.get_by_role("heading", name="Password").wait_for()
    assert works(api, dora["key"])
    assert api.post("/auth/token", json={"username": "dora", "password": OLD}).status_code == 401
