"""Every state of the page as pictures in ``build/screenshots/``, and no serious barrier in any of them (axe-core)."""

import re

import pytest

pytestmark = pytest.mark.ui


def test_signing_in(page, shot):
    page.goto("/")
    page.get_by_label("Name").wait_for()
    shot(page, "sign-in")


def test_a_new_job(signed_in, shot, photos):
    page = signed_in
    page.goto("/#/upload")
    page.get_by_text("Drop photos, a folder").wait_for()
    shot(page, "upload-empty")
    page.locator("#choose-files").set_input_files(sorted(photos.iterdir()))
    page.get_by_text("Balanced").wait_for()
    shot(page, "upload-form")
    page.get_by_text("Advanced settings").click()
    shot(page, "upload-advanced")


def test_an_upload_under_way(signed_in, shot, photos, cable):
    page = signed_in
    page.goto("/#/upload")
    page.locator("#choose-files").set_input_files(sorted(photos.iterdir()))
    page.get_by_label("Project").fill("Old mill")
    page.get_by_text("Balanced").wait_for()
    page.route(
        re.compile("/uploads/"), lambda route: route.abort() if route.request.method == "PATCH" else route.continue_()
    )
    page.get_by_role("button", name="Upload and start").click()
    page.get_by_role("button", name="Pause").wait_for()
    shot(page, "upload-waiting")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("heading", name="Stop this upload?").wait_for()
    shot(page, "dialog", full=False)
    page.get_by_role("button", name="Stop and remove").click()
    page.get_by_text("Drop photos, a folder").wait_for()
    page.unroute_all()


def test_an_upload_that_is_paused(slow, begin, files, shot):
    slow.on("dialog", lambda dialog: dialog.accept())
    begin(slow, files, "Old mill")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    slow.get_by_role("button", name="Pause").click()
    slow.get_by_role("heading", name="Paused").wait_for()
    shot(slow, "upload-paused")
    slow.goto("/#/account")
    slow.get_by_role("link", name=re.compile("Paused – Old mill")).wait_for()
    shot(slow, "upload-elsewhere")


def test_nobody_has_a_job_yet(page, api, shot):
    api.post("/users", json={"username": "erik", "password": "long enough", "role": "user"})
    page.goto("/")
    page.get_by_label("Name").fill("erik")
    page.get_by_label("Password").fill("long enough")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Drop photos here to begin").wait_for()
    shot(page, "jobs-empty")


def test_a_session_that_has_run_out(page, context, sign_in, shot):
    page.clock.install()
    sign_in(page, "/#/account")
    page.get_by_text("You have no keys.").wait_for()
    context.clear_cookies()
    page.clock.fast_forward(20 * 60_000)
    page.goto("/#/admin")
    page.get_by_role("heading", name="Please sign in again").wait_for()
    shot(page, "sign-in-again", full=False)


def test_a_new_key(signed_in, shot):
    signed_in.goto("/#/account")
    signed_in.get_by_label("What the new key is for").fill("night script")
    signed_in.get_by_role("button", name="Make a key").click()
    signed_in.get_by_role("heading", name="Your new key").wait_for()
    shot(signed_in, "account-new-key")
    signed_in.get_by_role("button", name="Delete night script").click()
    signed_in.get_by_role("dialog").get_by_role("button", name="Delete").click()
    signed_in.get_by_text("You have no keys.").wait_for()


def test_a_job_that_runs(signed_in, shot, upload):
    page = signed_in
    page.goto(f"/#/jobs/{upload('Chapel', extract={'max_keypoints': 1950})}")
    page.get_by_role("region", name="Progress").wait_for()
    shot(page, "job-running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    page.get_by_role("heading", name="This job was cancelled").wait_for(timeout=30_000)
    shot(page, "job-cancelled")


@pytest.mark.parametrize("tab", ["3D view", "Photos", "Connections", "Quality", "Downloads", "Log"])
def test_a_job_that_is_done(signed_in, shot, finished, tab):
    page = signed_in
    page.goto(f"/#/jobs/{finished}")
    page.get_by_role("tab", name=tab).click()
    page.get_by_role("tabpanel", name=tab).wait_for()
    page.wait_for_load_state("networkidle") if tab != "Log" else None
    shot(page, f"job-{tab.lower().replace(' ', '-')}")


@pytest.mark.parametrize("place", ["jobs", "admin", "account", "nothing"])
def test_the_other_pages(signed_in, shot, finished, place):
    page = signed_in
    page.goto(f"/#/{place}")
    page.get_by_text("Loading").wait_for(state="detached")
    page.wait_for_load_state("networkidle")
    shot(page, place)


def test_no_connection(signed_in, shot, cable):
    page = signed_in
    cable.cut()
    page.goto("/#/account")
    page.get_by_text("No connection to the service.").wait_for()
    shot(page, "offline")


def test_the_first_view_takes_no_longer_than_a_second(page):
    taken = []
    for _ in range(3):
        page.goto("/", wait_until="commit")
        page.get_by_label("Name").wait_for()
        taken.append(page.evaluate("performance.now()"))
    assert min(taken) <= 1000
