"""Photos on their way: chosen in every manner, paused, cut off, reloaded."""

import re
import zipfile

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.ui


def test_photos_are_packed_on_the_way_and_become_a_job(signed_in, files, begin, opened_job):
    begin(signed_in, files, "some photos")
    job = opened_job(signed_in)
    assert (job["dataset_name"], job["scene_name"], job["n_images"]) == ("some photos", "Scene 1", len(files))


def test_a_folder_gives_the_project_its_name_and_photos_theirs_below_it(
    signed_in, service, photos, tmp_path, opened_job
):
    folder = tmp_path / "Old mill"
    (folder / "inside").mkdir(parents=True)
    for path in photos.iterdir():
        (folder / "inside" / path.name).write_bytes(path.read_bytes())
    (folder / "notes.txt").write_text("left out")
    signed_in.goto("/#/upload")
    signed_in.locator("#choose-folder").set_input_files(folder)
    signed_in.get_by_text("1 other file left out").wait_for()
    signed_in.get_by_role("button", name="Upload and start").click()
    job = opened_job(signed_in)
    assert (job["dataset_name"], job["n_images"]) == ("Old mill", 6)
    with zipfile.ZipFile(service.data_dir / "jobs" / job["job_id"] / "upload.zip") as sent:
        assert sent.namelist() == [f"inside/{name}" for name in sorted(path.name for path in photos.iterdir())]


def test_a_zip_and_its_settings_arrive_as_they_are(signed_in, files, tmp_path, opened_job):
    with zipfile.ZipFile(tmp_path / "yard.zip", "w") as archive:
        for path in files:
            archive.write(path, path.name)
    signed_in.goto("/#/upload")
    signed_in.locator("#choose-files").set_input_files(tmp_path / "yard.zip")
    signed_in.get_by_text("Fast", exact=True).click()
    signed_in.get_by_text("Advanced settings").click()
    signed_in.get_by_label("Most details per photo").fill("1234")
    signed_in.get_by_role("button", name="Upload and start").click()
    job = opened_job(signed_in)
    assert job["dataset_name"] == "yard"
    assert job["options"]["extract"]["max_keypoints"] == 1234
    assert job["options"]["extract"]["long_edge_px"] == 1024


def test_an_option_that_cannot_be_is_pointed_at_before_anything_is_sent(signed_in, files):
    page = signed_in
    page.goto("/#/upload")
    page.locator("#choose-files").set_input_files(files)
    page.get_by_text("Advanced settings").click()
    page.get_by_label("Most details per photo").fill("5")
    page.get_by_text("16 to 200,000.").wait_for()
    page.get_by_text("Advanced settings").click()
    page.get_by_role("button", name="Upload and start").click()
    expect(page.get_by_label("Most details per photo")).to_be_focused()
    assert page.evaluate("localStorage.getItem('reconflow.uploads')") is None


def test_every_setting_is_explained_and_only_methods_that_run_together_are_offered(signed_in, api, files):
    page = signed_in
    page.goto("/#/upload")
    page.locator("#choose-files").set_input_files(files)
    page.get_by_text("Advanced settings").click()
    methods = [one for one in api.get("/options").json()["methods"] if one["usable"]]
    usual = page.get_by_label("Finder of details").locator("option").first
    expect(usual).to_have_text("Usual: what suits the machine")
    page.get_by_text("Detailed", exact=True).click()
    expect(usual).to_have_text("Usual: SIFT")
    page.get_by_text("Balanced", exact=True).click()
    page.get_by_label("Finder of details").select_option("SIFT")
    expect(page.get_by_label("Matcher of details")).to_have_value("")
    helps = page.locator(".advanced .hint").all_inner_texts()
    assert len(helps) > 40
    assert all(re.sub(r"[\d,.]+ (to [\d,.]+|or more)\.$", "", text) for text in helps), helps
    offered = page.get_by_label("Matcher of details").locator("option:enabled").all_inner_texts()
    assert len(offered) == 1 + len([one for one in methods if one["extractor"] == "sift"])
    assert "Ratio test" in offered


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


def test_an_upload_is_paused_and_goes_on_from_where_it_was(slow, files, begin, opened_job):
    begin(slow, files, "paused")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    slow.get_by_role("button", name="Pause").click()
    slow.get_by_role("heading", name="Paused").wait_for()
    slow.get_by_role("button", name="Resume").click()
    job = opened_job(slow)
    assert job["n_images"] == len(files)
    assert slow.offsets[0] == 0
    assert max(slow.offsets) > 0


def test_a_cut_connection_is_taken_up_again(slow, cable, files, begin, opened_job):
    begin(slow, files, "cut off")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    cable.cut()
    slow.get_by_role("heading", name="Waiting for the connection").wait_for()
    slow.get_by_text("No connection to the service.").wait_for()
    cable.mend()
    job = opened_job(slow)
    assert job["n_images"] == len(files)
    assert max(slow.offsets) > 0
    assert not slow.get_by_text("No connection to the service.").is_visible()


def test_a_zip_that_changes_while_it_is_sent_is_told(slow, files, tmp_path, begin):
    packed = tmp_path / "yard.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in files:
            archive.write(path, path.name)
    begin(slow, packed, "changed")
    slow.get_by_text(re.compile(r"kB/s")).wait_for()
    packed.write_bytes(packed.read_bytes()[:-1])
    slow.get_by_role("heading", name="Not accepted").wait_for()
    slow.get_by_text("was changed or removed while it was being sent").wait_for()


@pytest.fixture
def folder(files, tmp_path):
    """The photos in a folder named Dropped."""
    folder = tmp_path / "Dropped"
    folder.mkdir()
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def drag(signed_in, context, folder):
    """Return a function that holds the folder, or other data, over the list of jobs or lets it go there."""
    page = signed_in
    page.goto("/#/jobs")
    page.get_by_role("heading", name="Jobs").wait_for()
    hand = context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}

    def move(*kinds, data=data):
        for kind in kinds:
            hand.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 500, "data": data})

    return move


def test_a_folder_that_is_dropped_on_the_list_of_jobs_becomes_a_new_job(signed_in, drag, shot):
    page = signed_in
    drag("dragEnter", "dragOver")
    page.get_by_text("Drop to begin a new job").wait_for()
    shot(page, "jobs-dragging")
    drag("dragOver", "drop")
    page.get_by_role("heading", name="6 photos in Dropped").wait_for()
    assert page.get_by_label("Project").input_value() == "Dropped"
    assert not page.get_by_text("Drop to begin a new job").is_visible()


def test_text_that_is_dragged_is_left_alone(signed_in, drag):
    page = signed_in
    text = {"items": [{"mimeType": "text/plain", "data": "a word"}], "dragOperationsMask": 1}
    drag("dragEnter", "dragOver", "drop", data=text)
    page.wait_for_timeout(300)
    assert not page.get_by_text("Drop to begin a new job").is_visible()
    assert page.get_by_role("dialog").count() == 0


def test_a_list_that_is_drawn_anew_under_a_drag_neither_loses_it_nor_keeps_it(signed_in, drag):
    page = signed_in
    veil = page.get_by_text("Drop to begin a new job")
    page.evaluate("""() => {
      const row = document.createElement("div");
      row.id = "drawn-anew";
      row.style = "position: fixed; inset: 0; z-index: 20";
      document.body.append(row);
    }""")
    drag("dragEnter", "dragOver")
    veil.wait_for()
    page.evaluate("document.getElementById('drawn-anew').remove()")
    drag("dragOver")
    page.evaluate("document.elementFromPoint(600, 500).dispatchEvent(new DragEvent('dragleave', { bubbles: true }))")
    veil.wait_for(state="hidden")
    drag("dragEnter", "dragOver", "dragOver", "drop")
    page.get_by_role("heading", name="6 photos in Dropped").wait_for()
