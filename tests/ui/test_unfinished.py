"""Uploads that did not come to their end: interrupted, refused, sent by another tab."""

import re
import time
import zipfile

import pytest

pytestmark = pytest.mark.ui
FORGOTTEN = """async () => {
  const deadline = Date.now() + 15_000;
  while (localStorage.getItem("reconflow.uploads") !== "[]") {
    if (Date.now() > deadline) throw new Error("the page still remembers the upload");
    await new Promise((done) => setTimeout(done, 50));
  }
}"""


@pytest.fixture
def leaving(slow):
    """A tab that lets a person leave in the middle of an upload."""
    slow.on("dialog", lambda dialog: dialog.accept())
    return slow


def test_an_upload_outlives_a_reload(leaving, begin, opened_job, files, shot):
    page = leaving
    begin(page, files, "reloaded")
    page.get_by_text(re.compile(r"kB/s")).wait_for()
    page.reload()
    page.get_by_role("heading", name="Unfinished: reloaded").wait_for()
    page.get_by_text(re.compile(r"\d+ % of .* sent, begun .* Choose the same 6 photos again")).wait_for()
    shot(page, "upload-unfinished")
    page.locator("[id^=again-]").set_input_files(files[:4])
    page.get_by_text("These are other photos than before.").wait_for()
    page.locator("[id^=again-]").set_input_files(files)
    job = opened_job(page)
    assert (job["dataset_name"], job["n_images"]) == ("reloaded", len(files))
    assert max(page.offsets) > 0


def test_a_folder_is_asked_for_again_as_a_folder(leaving, opened_job, files, tmp_path):
    page = leaving
    folder = tmp_path / "Yard"
    folder.mkdir()
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())
    page.goto("/#/upload")
    page.locator("#choose-folder").set_input_files(folder)
    page.get_by_role("button", name="Upload and start").click()
    page.get_by_text(re.compile(r"kB/s")).wait_for()
    page.reload()
    page.get_by_text("Choose the same folder again").wait_for()
    page.locator("[id^=again-][webkitdirectory]").set_input_files(folder)
    assert opened_job(page)["dataset_name"] == "Yard"


def test_an_unfinished_upload_can_be_discarded(leaving, begin, files):
    page = leaving
    begin(page, files, "unwanted")
    page.get_by_text(re.compile(r"kB/s")).wait_for()
    page.reload()
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    page.get_by_role("heading", name="Unfinished: unwanted").wait_for(state="detached")
    assert page.evaluate("localStorage.getItem('reconflow.uploads')") == "[]"


def test_another_tab_leaves_an_upload_alone_while_it_is_sent(leaving, begin, files, context):
    begin(leaving, files, "in one tab")
    leaving.get_by_text(re.compile(r"kB/s")).wait_for()
    second = context.new_page()
    second.goto("/#/upload")
    second.get_by_role("heading", name="Drop photos, a folder or a ZIP here").wait_for()
    second.wait_for_timeout(500)
    assert not second.get_by_text("Unfinished:").is_visible()
    leaving.close()
    second.get_by_role("heading", name="Unfinished: in one tab").wait_for()


def test_an_upload_of_which_all_came_needs_no_photos_for_its_job(signed_in, begin, opened_job, files):
    page = signed_in
    page.on("dialog", lambda dialog: dialog.accept())
    page.route(re.compile("/uploads/[^/]+/job$"), lambda route: route.abort())
    begin(page, files, "all there")
    page.get_by_role("heading", name="Waiting for the connection").wait_for()
    page.unroute_all()
    page.route(re.compile("/uploads/[^/]+/job$"), lambda route: route.abort(), times=1)
    page.reload()
    page.get_by_text("All photos have arrived.").wait_for()
    page.get_by_role("button", name="Start the job").click()
    assert opened_job(page)["dataset_name"] == "all there"


def test_an_upload_that_the_service_has_dropped_is_not_offered(leaving, begin, api, files):
    page = leaving
    begin(page, files, "gone")
    page.get_by_text(re.compile(r"kB/s")).wait_for()
    [record] = page.evaluate("JSON.parse(localStorage.getItem('reconflow.uploads'))")
    page.goto("about:blank")
    drop(api, record["url"])
    page.goto("/#/upload")
    page.get_by_role("heading", name="Drop photos, a folder or a ZIP here").wait_for()
    page.evaluate(FORGOTTEN)
    assert not page.get_by_text("Unfinished:").is_visible()


def drop(api, url):
    """Have the service drop an upload; one whose piece was just cut off is written to for a moment longer."""
    for _ in range(100):
        answer = api.delete(url, headers={"Tus-Resumable": "1.0.0"})
        if answer.status_code != 423:
            break
        time.sleep(0.1)
    assert answer.status_code == 204


def test_photos_chosen_while_others_are_sent_are_next(leaving, begin, opened_job, files, shot):
    page = leaving
    begin(page, files, "first")
    page.get_by_text(re.compile(r"kB/s")).wait_for()
    page.locator("#choose-files").set_input_files(files[:4])
    page.get_by_text("Ready to go when the photos above are sent.").wait_for()
    shot(page, "upload-sending")
    page.get_by_label("Project").fill("second")
    page.get_by_role("heading", name="Sent").wait_for(timeout=60_000)
    page.get_by_role("button", name="Upload and start").click()
    assert opened_job(page)["dataset_name"] == "second"


def test_a_refused_upload_gives_photos_and_form_back(signed_in, opened_job, files, tmp_path, shot):
    page = signed_in
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for path in files[:2]:
            archive.write(path, path.name)
    page.goto("/#/upload")
    page.locator("#choose-files").set_input_files(tmp_path / "two.zip")
    page.get_by_label("Project").fill("refused")
    page.get_by_label("Scene", exact=True).fill("yard")
    page.get_by_text("Fast", exact=True).click()
    page.get_by_role("button", name="Upload and start").click()
    page.get_by_role("heading", name="Not accepted").wait_for()
    shot(page, "upload-refused")
    assert page.get_by_label("Project").input_value() == "refused"
    assert page.get_by_label("Scene", exact=True).input_value() == "yard"
    page.get_by_role("radio", name="Fast").wait_for()
    assert page.get_by_role("radio", name="Fast").is_checked()
    page.get_by_role("button", name="Choose others").click()
    page.locator("#choose-files").set_input_files(files)
    page.get_by_role("button", name="Upload and start").click()
    assert opened_job(page)["n_images"] == len(files)
