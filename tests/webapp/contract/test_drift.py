"""Drift, retraining and what jobs start from."""

import io
import zipfile

from reconflow.nets.registry import ACCEPTANCE_INLIERS


def test_a_job_has_no_clusters_yet_and_nothing_to_do_about_drift(web, queued):
    assert web.anna.get(f"/clusters/{queued}").json() == {"clusters": []}
    body = web.anna.get(f"/jobs/{queued}/insights").json()
    assert body["recommendation"] == "No action needed."
    assert body["drift_report"]["severity"] == body["drift_severity"] == "low"
    assert "no baseline" in body["drift_report"]["warnings"][0]


def test_drift_is_checked_without_making_a_job(web, small_zip):
    before = list(web.service.files.jobs.iterdir())
    body = web.anna.post("/drift", files={"file": ("a.zip", small_zip)}).json()
    assert (body["drift_detected"], body["severity"], body["checks"]) == (False, "low", {})
    assert list(web.service.files.jobs.iterdir()) == before
    assert list(web.service.files.incoming.iterdir()) == []


def test_the_drift_of_a_few_photos_is_too_little_data_and_that_of_none_a_wrong_request(web, small_zip):
    with zipfile.ZipFile(io.BytesIO(small_zip)) as archive:
        one = archive.read("0.png")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", one)
    answer = web.anna.post("/drift", files={"file": ("a.zip", content.getvalue())})
    assert (answer.status_code, answer.json()["severity"]) == (200, "low")
    assert any("insufficient data: 1 photo" in warning for warning in answer.json()["warnings"])
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.png", b"no photo")
    assert web.anna.post("/drift", files={"file": ("a.zip", content.getvalue())}).status_code == 400


def test_retraining_is_for_administrators_and_says_why_it_fails(web):
    assert web.anna.post("/drift/trigger-retrain").status_code == 403
    answer = web.admin.post("/drift/trigger-retrain")
    assert (answer.status_code, "AIRFLOW_URL" in answer.json()["detail"]) == (502, True)


def test_jobs_start_from_the_promoted_configuration_as_soon_as_there_is_one(tmp_path, own_site, small_zip, upload):
    promoted = tmp_path / "promoted.toml"
    with own_site(tmp_path / "data", config=str(promoted)) as web:
        assert web.anna.get("/options").json()["defaults"]["match"]["ratio"] == 0.8
        promoted.write_text("[match]\nratio = 0.7\n[extract]\nmax_keypoints = 5000\n")
        assert web.anna.get("/options").json()["defaults"]["match"]["ratio"] == 0.7
        job_id = upload(web.anna, small_zip, options='{"preset": "fast"}').json()["job_id"]
        told = web.anna.get(f"/jobs/{job_id}").json()["options"]
        assert (told["match"]["ratio"], told["extract"]["max_keypoints"]) == (0.7, 2048)
        promoted.write_text("[match]\nratio = 7\n")
        answer = web.anna.get("/options")
        assert (answer.status_code, str(tmp_path) in answer.text) == (503, False)


def test_options_are_described_with_their_presets(web):
    body = web.anna.get("/options").json()
    assert list(body["presets"]) == ["fast", "default", "detailed", "best"]
    can_rank = {one["name"]: one["usable"] for one in body["retrievers"]}
    assert can_rank == {"vlad": True} | dict.fromkeys(("mast3r", *(f"dinov2-vit{size}14" for size in "sbl")), False)
    assert list(body["presets_missing"]) == ["best"]
    for part in ("superpoint", "MASt3R_ViTLarge"):
        assert part in body["presets_missing"]["best"]
    assert body["defaults"]["match"]["ratio"] == 0.8
    assert body["defaults"]["extract"]["extractor"] == body["defaults"]["match"]["matcher"] == "auto"
    told = " ".join(body["schema"]["$defs"]["ExtractConfig"]["description"].split())
    assert "aliked-n16rot and lightglue where workers offer GPUs and the weights are here, else sift and adalam" in told
    assert "MatchConfig" in body["schema"]["$defs"]
    assert "execution" not in body["schema"]["$defs"]["PipelineConfig"]["properties"]
    assert "ExecutionConfig" not in str(body["schema"])


def test_every_method_is_listed_with_what_it_lacks(web):
    methods = web.anna.get("/options").json()["methods"]
    assert {(one["extractor"], one["matcher"]) for one in methods} == set(ACCEPTANCE_INLIERS)
    assert all(one["name"] == f"{one['extractor']}+{one['matcher']}" for one in methods)
    by_name = {one["name"]: one for one in methods}
    assert by_name["sift+adalam"] | {"usable": True, "reason": ""} == by_name["sift+adalam"]
    assert not by_name["superpoint+mast3r_hybrid"]["usable"]
    assert all(
        part in by_name["superpoint+mast3r_hybrid"]["reason"] for part in ("superpoint_v1.pth", "MASt3R_ViTLarge")
    )
    assert all(one["usable"] == (one["reason"] == "") for one in methods)
