"""What goes wrong, and the way on from there."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def unrelated(api):
    """A job of photos that have nothing in common; it fails."""
    rng = np.random.default_rng(4)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(4):
            noise = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).resize((320, 240))
            with archive.open(f"{number}.jpg", "w") as file:
                noise.save(file, "JPEG")
    answer = api.post("/upload", files={"file": ("photos.zip", content.getvalue())}, data={"dataset_name": "Nothing"})
    return answer.json()["job_id"]


def test_a_failed_job_shows_what_became_of_each_photo_and_asks_for_more(signed_in, unrelated, shot):
    page = signed_in
    page.goto(f"/#/jobs/{unrelated}")
    page.get_by_role("heading", name="No two of the 4 photos show the same place").wait_for(timeout=120_000)
    page.get_by_role("row", name=re.compile("Left out|Not placed")).first.wait_for()
    shot(page, "job-failed")
    assert page.get_by_role("tab").all_inner_texts() == ["Photos", "Connections", "Quality", "Log"]
    page.get_by_role("tab", name="Connections").click()
    page.get_by_text("No two photos match.").wait_for()
    page.get_by_role("tab", name="Quality").click()
    page.get_by_text("of 4 readable").wait_for()
    page.get_by_role("link", name="New job with more photos").click()
    page.get_by_role("heading", name="Drop photos, a folder or a ZIP here").wait_for()


def test_another_try_offers_every_quality_of_the_service_and_says_what_it_drops(signed_in, api, unrelated, shot):
    page = signed_in
    page.goto(f"/#/jobs/{unrelated}")
    page.get_by_role("button", name="Try again").click(timeout=120_000)
    choice = page.get_by_role("dialog").get_by_label("Quality")
    choice.locator("option").nth(1).wait_for(state="attached")
    offered = choice.locator("option").evaluate_all("all => all.map((one) => one.value)")
    assert offered == ["", "fast", "default", "detailed", "best"]
    assert set(offered) - {""} == set(api.get("/options").json()["presets"])
    choice.select_option("fast")
    page.get_by_text("also those that were changed by hand").wait_for()
    shot(page, "dialog-retry", full=False)


@pytest.mark.parametrize(("tab", "asked"), [("photos", "images"), ("matches", "view-graph"), ("insights", "insights")])
def test_a_part_that_could_not_be_loaded_fills_by_itself(signed_in, finished, tab, asked):
    page = signed_in
    page.route(re.compile(f"/{asked}$"), lambda route: route.abort(), times=1)
    with page.expect_event("requestfailed", lambda sent: sent.url.endswith(f"/{asked}")):
        page.goto(f"/#/jobs/{finished}/{tab}")
    page.locator(f"#panel-{tab} :is(.photo-rows, .matrix, .quality-figures)").wait_for()


def test_an_answer_that_cannot_be_used_is_asked_for_again_by_hand(signed_in, finished):
    page = signed_in
    broken = {"status": 500, "content_type": "application/json", "body": json.dumps({"detail": "out of order"})}
    page.route(re.compile("/images$"), lambda route: route.fulfill(**broken), times=1)
    page.goto(f"/#/jobs/{finished}/photos")
    page.get_by_text("Out of order.").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.locator(".photo-rows").wait_for()


def test_a_name_of_a_hundred_letters_stays_on_a_phone(signed_in, api, upload, shot):
    job_id = upload("n" * 100)
    api.post(f"/jobs/{job_id}/cancel")
    signed_in.goto(f"/#/jobs/{job_id}")
    signed_in.get_by_role("heading", name="n" * 100).wait_for()
    shot(signed_in, "job-long-name")
    signed_in.goto("/#/jobs")
    signed_in.get_by_text("n" * 100).wait_for()
    shot(signed_in, "jobs-long-name")


@pytest.mark.parametrize("place", ["account", "admin", "upload"])
def test_a_file_that_misses_its_place_does_not_lead_away(signed_in, place):
    signed_in.goto(f"/#/{place}")
    signed_in.get_by_role("heading", level=1).wait_for()
    taken = signed_in.evaluate(
        """() => ["dragover", "drop"].map((kind) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["x"], "x.txt"));
          const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector("h1").dispatchEvent(event);
          return event.defaultPrevented;
        })"""
    )
    assert taken == [True, True]
