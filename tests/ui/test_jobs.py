"""Jobs: found, followed, steered, taken away."""

import re
import zipfile

import pytest
from PIL import Image, ImageEnhance
from playwright.sync_api import expect

from reconflow.jobs.drift import summarize_photos, write_baseline

pytestmark = pytest.mark.ui


def steps_seen(page):
    """Collect the step that is marked as the present one, while the page lives."""
    page.evaluate(
        """() => {
          window.seen = [];
          window.counts = [];
          const look = () => {
            const now = document.querySelector("[aria-current=step]")?.textContent;
            if (now && window.seen.at(-1) !== now) window.seen.push(now);
            const count = document.querySelector(".tracker-now")?.textContent;
            if (/\\d+ of \\d+/.test(count) && !window.counts.includes(count)) window.counts.push(count);
          };
          new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
          look();
        }"""
    )


def test_a_job_is_followed_from_stage_to_stage_to_its_result(signed_in, upload):
    job_id = upload("followed", extract={"max_keypoints": 1900})
    signed_in.goto(f"/#/jobs/{job_id}")
    signed_in.get_by_role("region", name="Progress").wait_for()
    steps_seen(signed_in)
    signed_in.get_by_role("tab", name="Downloads").wait_for(timeout=120_000)
    seen = signed_in.evaluate("window.seen")
    assert len(seen) >= 3
    order = ["Waiting", "Checking photos", "Comparing photos", "Building the 3D model", "Finishing", "Done"]
    assert seen == sorted(seen, key=order.index)
    assert any(re.search(r"[1-9]\d* of \d+ (photos|pairs)", count) for count in signed_in.evaluate("window.counts"))
    signed_in.get_by_text("photos placed", exact=True).wait_for()


def test_an_event_stream_that_breaks_is_taken_up_where_it_broke(signed_in, upload, cable):
    asked = []
    signed_in.on("request", lambda sent: asked.append(sent.headers) if sent.url.endswith("/events") else None)
    job_id = upload("broken stream", extract={"max_keypoints": 1901})
    signed_in.goto(f"/#/jobs/{job_id}")
    signed_in.get_by_role("list", name="Log").get_by_text("Waiting for a free slot.").wait_for()
    cable.cut()
    signed_in.get_by_text("No connection to the service.").wait_for()
    cable.mend()
    signed_in.get_by_role("tab", name="Log").wait_for(timeout=120_000)
    signed_in.get_by_role("tab", name="Log").click()
    lines = signed_in.get_by_role("list", name="Log").get_by_role("listitem").all_inner_texts()
    assert len(lines) == len(set(lines))
    assert int(asked[-1]["last-event-id"]) >= 0


def test_a_job_is_cancelled_tried_again_and_deleted(signed_in, api, upload):
    page = signed_in
    job_id = upload("steered", extract={"max_keypoints": 1902})
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    page.get_by_role("heading", name="This job was cancelled").wait_for(timeout=30_000)
    page.get_by_role("button", name="Try again").click()
    page.get_by_label("Quality").select_option("Fast")
    page.get_by_role("dialog").get_by_role("button", name="Try again").click()
    page.get_by_role("region", name="Progress").wait_for()
    assert api.get(f"/jobs/{job_id}").json()["options"]["extract"]["max_keypoints"] == 2048
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    page.get_by_role("button", name="Delete").click(timeout=30_000)
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    assert api.get(f"/jobs/{job_id}").status_code == 200
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    page.get_by_role("heading", name="Jobs").wait_for()
    assert api.get(f"/jobs/{job_id}").status_code == 404
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_role("heading", name="There is nothing here").wait_for()


def test_jobs_are_found_by_name_and_state(signed_in, finished):
    page = signed_in
    page.goto("/#/jobs")
    page.get_by_label("Search jobs by name").fill("courtY")
    page.get_by_role("link", name=re.compile("Courtyard")).first.wait_for()
    page.get_by_label("Show jobs in this state").select_option("Failed")
    page.get_by_role("heading", name="No job fits").wait_for()
    page.get_by_role("button", name="Show all jobs").click()
    page.locator(f"a[href='#/jobs/{finished}']").click()
    page.get_by_role("heading", name="Courtyard").wait_for()


def test_the_keyboard_stays_on_its_row_while_the_list_is_kept_up_to_date(signed_in, api, upload):
    page = signed_in
    job_id = upload("watched", extract={"max_keypoints": 1903})
    page.goto("/#/jobs")
    row = page.locator(f"a[href='#/jobs/{job_id}']")
    row.focus()
    before = row.inner_text()
    upload("newer", extract={"max_keypoints": 1904})
    page.locator("a.job", has_text="newer").wait_for()
    expect(row).not_to_have_text(before)
    expect(row).to_be_focused()


def test_results_are_downloaded_by_the_browser_itself(signed_in, finished, context):
    page = signed_in
    page.goto(f"/#/jobs/{finished}")
    page.get_by_role("button", name="Download").click()
    page.get_by_role("link", name="COLMAP models").get_by_text(re.compile(r"\d (kB|MB)")).wait_for()
    got = {}
    for link in page.locator("#panel-downloads a[download]").all():
        with page.expect_download() as download:
            link.click()
        got[link.locator("strong").inner_text()] = download.value
    paths = {name: download.path() for name, download in got.items()}
    assert {*paths} == {
        "All point clouds",
        "Table",
        "Table for the Image Matching Challenge",
        "COLMAP models",
        "transforms.json of Scene 1",
        "Scene 1, cleaned",
        "Scene 1, all points",
    }
    assert all(name.endswith(".ply") for name in zipfile.ZipFile(paths["All point clouds"]).namelist())
    assert paths["Table"].read_text().startswith("dataset,scene,image,rotation_matrix,translation_vector")
    assert paths["Table for the Image Matching Challenge"].read_text().startswith("image_id,")
    assert any("cameras" in name for name in zipfile.ZipFile(paths["COLMAP models"]).namelist())
    assert '"frames"' in paths["transforms.json of Scene 1"].read_text()
    assert got["transforms.json of Scene 1"].suggested_filename == "transforms-scene-1.json"
    assert paths["Scene 1, all points"].read_bytes().startswith(b"ply")
    assert paths["Scene 1, cleaned"].read_bytes().startswith(b"ply")
    with context.expect_page() as opened:
        page.get_by_role("link", name="Report").click()
    opened.value.get_by_text("photos").first.wait_for()


def test_links_to_downloads_are_renewed_after_a_long_sleep(page, sign_in, finished):
    page.clock.install()
    sign_in(page, f"/#/jobs/{finished}/downloads")
    link = page.get_by_role("link", name="COLMAP models")
    old = link.get_attribute("href")
    page.clock.pause_at(page.evaluate("Date.now()") + 20 * 60_000)  # no timer fires on the way
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(link).not_to_have_attribute("href", old)


def test_the_whole_page_works_from_the_keyboard(signed_in, finished):
    page = signed_in
    page.goto(f"/#/jobs/{finished}/photos")
    page.get_by_role("tab", name="Photos").focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == "Log"
    assert page.get_by_role("tabpanel", name="Log").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "3D view"
    page.goto("/#/upload")
    page.get_by_role("heading", name="New job").wait_for()
    page.reload()
    page.get_by_role("heading", name="New job").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_administrators_see_the_service_and_add_users(signed_in, api):
    page = signed_in
    page.goto("/#/admin")
    page.get_by_text("Processor (no GPU)").wait_for()
    page.locator("#user-name").fill("carla")
    page.locator("#user-password").fill("long enough")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("rowheader", name="carla").wait_for()
    page.goto("/#/account")
    page.get_by_label("What the new key is for").fill("night script")
    page.get_by_role("button", name="Make a key").click()
    key = page.locator("code").inner_text()
    assert api.get("/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    page.get_by_role("button", name="Delete night script").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("You have no keys.").wait_for()
    assert api.get("/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 401


@pytest.fixture
def usual_photos_are_dark(service, photos, tmp_path):
    """A baseline of scenes that look like the six photos at night."""
    scenes = {}
    for number in range(4):
        for path in photos.iterdir():
            with Image.open(path) as photo:
                ImageEnhance.Brightness(photo).enhance(0.2 + 0.02 * number).save(tmp_path / path.name)
        scenes[f"night {number}"] = summarize_photos(tmp_path)
    path = service.data_dir / "drift-baseline.json"
    write_baseline(scenes, path)
    yield
    path.unlink()


def test_what_is_unusual_about_photos_is_said(signed_in, api, upload, shot, usual_photos_are_dark):
    job_id = upload("by day")
    assert api.get(f"/jobs/{job_id}").json()["has_drift"]
    api.post(f"/jobs/{job_id}/cancel")
    signed_in.goto(f"/#/jobs/{job_id}")
    banner = signed_in.get_by_role("region", name="Unusual photos")
    banner.get_by_text(re.compile("brighter.* than usual")).wait_for()
    shot(signed_in, "job-drift")


def test_a_page_that_could_not_be_loaded_comes_up_when_the_service_is_back(signed_in, finished, cable):
    cable.cut()
    signed_in.goto(f"/#/jobs/{finished}")
    signed_in.get_by_role("heading", name="The job cannot be shown").wait_for()
    cable.mend()
    signed_in.get_by_role("heading", name="Courtyard").wait_for()
