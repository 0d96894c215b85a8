"""Signing in, staying signed in, and coming back."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.ui

MINUTES_20 = 20 * 60_000


def renewals(page):
    """Requests of a tab that renew its session, as they come."""
    seen = []
    page.on("request", lambda request: seen.append(request) if request.url.endswith("/auth/session/refresh") else None)
    return seen


def test_a_wrong_password_is_told_and_the_right_one_opens_the_page(page, sign_in):
    sign_in(page, password="wrong")
    page.get_by_text("Name and password do not belong together.").wait_for()
    sign_in(page)
    page.get_by_role("heading", name="Jobs").wait_for()


def test_no_script_can_read_the_session(signed_in, context):
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/auth/session")
    stored = signed_in.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
    assert stored == '["",{},{}]'


def test_a_reload_and_a_second_tab_need_no_password(signed_in, context):
    signed_in.reload()
    signed_in.get_by_role("heading", name="Jobs").wait_for()
    second = context.new_page()
    second.goto("/#/account")
    second.get_by_role("heading", name="Keys for scripts").wait_for()


def test_two_tabs_that_renew_at_once_stay_signed_in(signed_in, context):
    tabs = [signed_in, context.new_page()]
    for _ in range(3):
        for tab in tabs:
            tab.goto("/#/account", wait_until="commit")
        for tab in tabs:
            tab.reload(wait_until="commit")
    for tab in tabs:
        tab.get_by_role("heading", name="Keys for scripts").wait_for()


def test_whoever_signs_out_does_so_in_all_tabs(signed_in, context):
    second = context.new_page()
    second.goto("/")
    second.get_by_role("heading", name="Jobs").wait_for()
    signed_in.get_by_role("button", name="Sign out").click()
    for tab in (signed_in, second):
        tab.get_by_role("heading", name="Sign in to reconflow").wait_for()
        assert tab.get_by_role("heading", name="Jobs").count() == 0
    signed_in.reload()
    signed_in.get_by_role("heading", name="Sign in to reconflow").wait_for()


def test_a_session_is_renewed_without_a_word(page, sign_in):
    page.clock.install()
    sign_in(page)
    page.get_by_role("heading", name="Jobs").wait_for()
    seen = renewals(page)
    page.clock.fast_forward(MINUTES_20)
    page.goto("/#/account")
    page.get_by_role("heading", name="Keys for scripts").wait_for()
    page.get_by_text("You have no keys.").wait_for()
    assert seen
    assert not page.get_by_label("Password", exact=True).is_visible()


def test_an_expired_session_asks_again_and_keeps_the_place(page, context, sign_in):
    page.clock.install()
    sign_in(page, "/#/admin")
    page.get_by_role("heading", name="Service").wait_for()
    page.locator("#user-name").fill("half-typed")
    context.clear_cookies()
    page.clock.fast_forward(MINUTES_20)
    page.get_by_role("heading", name="Please sign in again").wait_for()
    page.locator("#password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Please sign in again").wait_for(state="hidden")
    assert re.search(r"#/admin$", page.url)
    assert page.locator("#user-name").input_value() == "half-typed"


def test_a_page_opened_after_the_session_has_run_out_comes_up_with_the_sign_in(page, context, sign_in, finished):
    page.clock.install()
    sign_in(page)
    page.get_by_role("heading", name="Jobs").wait_for()
    context.clear_cookies()
    page.clock.fast_forward(MINUTES_20)
    page.goto(f"/#/jobs/{finished}/photos")
    page.get_by_role("heading", name="Please sign in again").wait_for()
    page.locator("#password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Courtyard").wait_for()
    page.locator(".photo-rows").wait_for()


def test_a_sign_out_that_does_not_reach_the_service_is_told(signed_in, cable):
    page = signed_in
    cable.cut()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are still signed in").wait_for()
    page.get_by_role("button", name="All right").click()
    cable.mend()
    page.get_by_text("No connection to the service.").wait_for(state="hidden")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in to reconflow").wait_for()


def test_the_service_s_page_is_for_administrators(page, api):
    api.post("/users", json={"username": "visitor", "password": "long enough", "role": "user"})
    page.goto("/#/admin")
    page.get_by_label("Name").fill("visitor")
    page.get_by_label("Password").fill("long enough")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="There is nothing here").wait_for()
    assert not page.get_by_role("link", name="Service").is_visible()


def test_an_address_that_makes_no_sense_says_so_and_pages_have_titles(signed_in):
    page = signed_in
    for place, title in (("upload", "New job"), ("account", "Account"), ("admin", "Service"), ("jobs", "Jobs")):
        page.goto(f"/#/{place}")
        expect(page).to_have_title(f"{title} – reconflow")
    page.goto("/#/jobs/%E0%A4%A")
    page.get_by_role("heading", name="There is nothing here").wait_for()


def test_a_key_can_be_copied_where_pages_may_not_use_the_clipboard(signed_in):
    page = signed_in
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto("/#/account")
    page.reload()
    page.get_by_label("What the new key is for").fill("plain http")
    page.get_by_role("button", name="Make a key").click()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Selected").wait_for()
    assert page.evaluate("getSelection().toString()") == page.locator("code").inner_text()
    page.get_by_role("button", name="Delete plain http").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("You have no keys.").wait_for()
