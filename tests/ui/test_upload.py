"""Photos on their way: chosen in every manner, paused, cut off, reloaded."""

import re
import zipfile

import pytest

pytestmark = pytest.mark.ui

SLOW = 120_000
"""Bytes a second: the photos take some six seconds."""


@pytest.fixture
def files(photos):
    return sorted(photos.iterdir())


@pytest.fixture
def slow(context, signed_in):
    """A tab whose uploads crawl; it tells the offsets that pieces were sent from."""
    network = context.new_cdp_session(signed_in)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", limits)
    signed_in.offsets = []
    signed_in.on(
        "request",
        lambda sent: signed_in.offsets.append(int(sent.headers["upload-offset"])) if sent.method == "PATCH" else None,
    )
    return signed_in


def begin(page, files, dataset):
    page.goto("/#/upload")
    page.locator("#choose-files").set_input_files(files)
    page.get_by_label("Project").fill(dataset)
    page.get_by_text("Balanced").wait_for()
    page.get_by_role("button", name="Upload and start").click()


def opened_job(page, api):
    """Wait for the job's page and return the job."""
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}"), timeout=60_000)
    return api.get(f"/jobs/{page.url.rsplit('/', 1)[1]}").json()


def test_photos_are_packed_on_the_way_and_become_a_job(signed_in, api, files):
    begin(signed_in, files, "some photos")
    job = opened_job(signed_in, api)
    assert (job["dataset_name"], job["scene_name"], job["n_images"]) == ("some photos", "scene_01", len(files))


def test_a_folder_gives_the_project_its_name(signed_in, api, photos, tmp_path):
    folder = tmp_path / "Old mill"
    (folder / "inside").mkdir(parents=True)
    for path in photos.iterdir():
        (folder / "inside" / path.name).write_bytes(path.read_bytes())
    (folder / "notes.txt").write_text("left out")
    signed_in.goto("/#/upload")
    signed_in.locator("#choose-folder").set_input_files(folder)
    signed_in.get_by_text("1 other file left out").wait_for()
    signed_in.get_by_role("button", name="Upload and start").click()
    job = opened_job(signed_in, api)
    assert (job["dataset_name"], job["n_images"]) == ("Old mill", 6)


def test_a_zip_and_its_settings_arrive_as_they_are(signed_in, api, files, tmp_path):
    with zipfile.ZipFile(tmp_path / "yard.zip", "w") as archive:
        for path in files:
            archive.write(path, path.name)
    signed_in.goto("/#/upload")
    signed_in.locator("#choose-files").set_input_files(tmp_path / "yard.zip")
    signed_in.get_by_text("Fast", exact=True).click()
    signed_in.get_by_text("Advanced settings").click()
    signed_in.get_by_label("Max keypoints").fill("1234")
    signed_in.get_by_role("button", name="Upload and start").click()
    job = opened_job(signed_in, api)
    assert job["dataset_name"] == "yard"
    assert job["options"]["extract"]["max_keypoints"] == 1234
    assert job["options"]["extract"]["long_edge_px"] == 1024


def test_an_option_that_cannot_be_is_refused_before_anything_is_sent(signed_in, files):
    signed_in.goto("/#/upload")
    signed_in.locator("#choose-files").set_input_files(files)
    signed_in.get_by_text("Advanced settings").click()
    signed_in.get_by_label("Max keypoints").fill("-5")
    signed_in.get_by_role("button", name="Upload and start").click()
    signed_in.get_by_text(re.compile("max_keypoints")).wait_for()
    assert signed_in.get_by_role("button", name="Upload and start").is_enabled()


def test_what_is_no_photo_is_told_at_once_and_a_bad_zip_by_the_service(signed_in, tmp_path):
    (tmp_path / "a.txt").write_text("no photo")
    (tmp_path / "bad.zip").write_bytes(b"no zip at all")
    signed_in.goto("/#/upload")
    signed_in.locator("#choose-files").set_input_files(tmp_path / "a.txt")
    signed_in.get_by_text("There are no photos in it").wait_for()
    signed_in.locator("#choose-files").set_input_files(tmp_path / "bad.zip")
    signed_in.get_by_role("button", name="Upload and start").click()
    signed_in.get_by_role("heading", name="Not accepted").wait_for()
    signed_in.get_by_text(re.compile("ZIP")).first.wait_for()


def test_an_upload_is_paused_and_goes_on_from_where_it_was(slow, api, files):
    begin(slow, files, "paused")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    slow.get_by_role("button", name="Pause").click()
    slow.get_by_role("heading", name="Paused").wait_for()
    slow.get_by_role("button", name="Resume").click()
    job = opened_job(slow, api)
    assert job["n_images"] == len(files)
    assert slow.offsets[0] == 0
    assert max(slow.offsets) > 0


def test_a_cut_connection_is_taken_up_again(slow, cable, api, files):
    begin(slow, files, "cut off")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    cable.cut()
    slow.get_by_role("heading", name="Waiting for the connection").wait_for()
    slow.get_by_text("No connection to the service.").wait_for()
    cable.mend()
    job = opened_job(slow, api)
    assert job["n_images"] == len(files)
    assert max(slow.offsets) > 0
    assert not slow.get_by_text("No connection to the service.").is_visible()


def test_an_upload_outlives_a_reload(slow, api, files):
    slow.on("dialog", lambda dialog: dialog.accept())
    begin(slow, files, "reloaded")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    slow.reload()
    slow.get_by_role("heading", name="Unfinished: reloaded").wait_for()
    slow.locator("[id^=again-]").first.set_input_files(files[:4])
    slow.get_by_text("These are other photos than before.").wait_for()
    slow.locator("[id^=again-]").first.set_input_files(files)
    job = opened_job(slow, api)
    assert (job["dataset_name"], job["n_images"]) == ("reloaded", len(files))
    assert max(slow.offsets) > 0


def test_an_unfinished_upload_can_be_discarded(slow, files):
    slow.on("dialog", lambda dialog: dialog.accept())
    begin(slow, files, "unwanted")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    slow.reload()
    slow.get_by_role("button", name="Discard").click()
    slow.get_by_role("dialog").get_by_role("button", name="Discard").click()
    slow.get_by_role("heading", name="Unfinished: unwanted").wait_for(state="detached")
    assert slow.evaluate("localStorage.getItem('reconflow.uploads')") == "[]"
