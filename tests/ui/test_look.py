"""Every state of the page as a picture in ``build/screenshots/``, and no serious barrier in any of them (axe-core)."""

import pytest

pytestmark = pytest.mark.ui


def test_sign_in(page, shot):
    page.goto("/")
    page.get_by_label("Name").wait_for()
    shot(page, "sign-in")


def test_the_rest(signed_in, shot, photos, api):
    page = signed_in
    shot(page, "jobs-empty")
    page.goto("/#/upload")
    page.get_by_text("Drop photos, a folder").wait_for()
    shot(page, "upload-empty")
    page.locator("#choose-files").set_input_files(sorted(photos.iterdir()))
    page.get_by_text("Balanced").wait_for()
    shot(page, "upload-form")
    page.get_by_label("Project").fill("Courtyard")
    page.get_by_label("Scene", exact=True).fill("north side")
    page.get_by_role("button", name="Upload and start").click()
    page.get_by_role("region", name="Progress").wait_for()
    page.wait_for_timeout(1500)
    shot(page, "job-running")
    page.get_by_role("tab", name="Downloads").wait_for(timeout=90_000)
    page.get_by_role("tab", name="Downloads").click()
    page.get_by_text("COLMAP models").wait_for()
    shot(page, "job-downloads")
    page.get_by_role("tab", name="Log").click()
    shot(page, "job-log")
    for name in ("jobs", "admin", "account", "nothing"):
        page.goto(f"/#/{name}")
        page.wait_for_timeout(700)
        shot(page, name)
