"""The 3D view of a real job, turned, moved and coloured as people do it."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.ui
DARK = (14, 17, 22)
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"


class View:
    """The 3D view of a tab, as it is seen and touched."""

    def __init__(self, page):
        self.page = page
        page.locator(".scene-stage[data-points]").wait_for(timeout=60_000)
        self.settle()

    def settle(self):
        """Wait until flights and damping have come to an end."""
        before, now = None, self.pixels()
        deadline = time.monotonic() + 20
        while before is None or (now != before).any():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(400)
            before, now = now, self.pixels()

    def pixels(self):
        with Image.open(io.BytesIO(self.page.locator(".scene-canvas").screenshot())) as shown:
            return np.asarray(shown.convert("RGB")).astype(int)

    def lit(self):
        """Share of pixels that are not the ground's."""
        return float((np.abs(self.pixels() - np.array(DARK)).sum(axis=2) > 30).mean())

    def at(self, x, y):
        box = self.page.locator(".scene-canvas").bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, *, button="left"):
        mouse = self.page.mouse
        mouse.move(*self.at(0.45, 0.08))
        mouse.down(button=button)
        mouse.move(*self.at(0.6, 0.2), steps=5)
        mouse.up(button=button)
        self.settle()


def changed(before, after):
    """Share of pixels that are another colour."""
    return float((np.abs(after - before).sum(axis=2) > 30).mean())


@pytest.fixture
def view(signed_in, finished):
    signed_in.goto(f"/#/jobs/{finished}/scene")
    return View(signed_in)


def test_points_of_a_real_job_are_drawn_turned_moved_and_brought_back(view):
    first = view.pixels()
    assert view.lit() > 0.005
    for button in ("left", "right"):
        before = view.pixels()
        view.drag(button=button)
        assert changed(before, view.pixels()) > 0.005, button
    view.page.mouse.dblclick(*view.at(0.02, 0.03))
    view.settle()
    assert changed(first, view.pixels()) < 0.003


def test_the_wheel_zooms_once_the_view_is_clicked_and_scrolls_the_page_before(view):
    first = view.pixels()
    view.page.mouse.move(*view.at(0.5, 0.1))
    view.page.mouse.wheel(0, -200)
    view.settle()
    assert changed(first, view.pixels()) < 0.003
    view.page.mouse.click(*view.at(0.02, 0.03))
    view.page.mouse.wheel(0, -400)
    view.settle()
    assert changed(first, view.pixels()) > 0.01


def test_points_grow_and_tell_their_error_by_colour(view):
    view.page.get_by_label("Point size").fill("0.3")
    view.settle()
    small = view.lit()
    view.page.get_by_label("Point size").fill("3")
    view.settle()
    assert view.lit() > 1.3 * small
    before = view.pixels()
    view.page.get_by_label("Colour").select_option(label="Error in the photos")
    view.page.get_by_text("px or more").wait_for()
    view.settle()
    assert changed(before, view.pixels()) > 0.005


def test_the_view_fills_the_screen_and_comes_back(view):
    page = view.page
    page.get_by_role("button", name="Full screen").click()
    page.locator(".scene-stage:fullscreen").wait_for()
    view.settle()
    assert view.lit() > 0.005
    page.screenshot(path=SCREENSHOTS / "job-full-screen.png")
    page.get_by_role("button", name="Full screen").click()
    page.locator(".scene-stage:fullscreen").wait_for(state="detached")


def test_a_photo_of_the_table_is_one_click_from_its_camera(signed_in, finished):
    page = signed_in
    page.goto(f"/#/jobs/{finished}/photos")
    page.get_by_role("button", name="Show img_002.jpg in 3D").click()
    page.get_by_role("tabpanel", name="3D view").wait_for()
    view = View(page)
    page.get_by_role("complementary").get_by_role("heading", name="img_002.jpg").wait_for()
    box = page.locator(".scene-stage").bounding_box()
    assert 57 <= box["y"] <= 860 - box["height"]  # below the bar, and in sight
    there = view.pixels()
    page.get_by_role("tab", name="Photos").click()
    row = page.get_by_role("button", name="img_004.jpg", exact=True)
    row.focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("tabpanel", name="Photos").is_visible()
    page.keyboard.press("Enter")
    page.get_by_role("tabpanel", name="3D view").wait_for()
    view.settle()
    assert changed(there, view.pixels()) > 0.01


def test_on_a_phone_photos_are_sorted_and_a_photo_opens_over_its_own_part_only(signed_in, finished):
    page = signed_in
    page.set_viewport_size({"width": 400, "height": 860})
    page.goto(f"/#/jobs/{finished}/photos")
    page.get_by_label("Sort photos by").select_option("By points seen")
    seen = page.locator(".photo-rows .cell-points").all_text_contents()
    counts = [int(text.split()[-1].replace(",", "")) for text in seen if text.split()[-1] != "–"]
    assert len(counts) > 2
    assert counts == sorted(counts, reverse=True)
    page.locator(".photo-button").first.click()
    sheet = page.locator("#panel-photos .photo-panel")
    sheet.get_by_role("img").first.wait_for()
    sheet.get_by_role("button", name="Show in 3D").click()
    page.get_by_role("tabpanel", name="3D view").wait_for()
    page.get_by_role("tab", name="Photos").click()
    assert not sheet.is_visible()
