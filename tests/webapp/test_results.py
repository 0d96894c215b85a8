"""From an upload to its files, over HTTP, with a runner process: what a user's script does."""

import io
import re
import time
import zipfile

import httpx
import numpy as np
import pytest
from PIL import Image

import reconflow as rf
from reconflow.core.clouds import read_ply
from reconflow.core.submission import read_poses
from reconflow.core.viewer_clouds import decode_viewer_cloud
from reconflow.errors import CredentialsError, InputError, NotFoundError
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.world.photos import make_sample

PASSWORD = "correct horse"
SMALL = {"extract": {"max_keypoints": 1500, "long_edge_px": 640}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six photos of a scene, one of something else, and a file that is none."""
    folder = make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=1, size=(640, 480)
    ).images
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    return folder


@pytest.fixture(scope="module")
def done(web, photos):
    """A job that a runner has finished, and the client that asked for it."""
    with rf.Client(web.url, username="anna", password=PASSWORD) as client, RunnerProcess(web.service.settings):
        job_id = client.upload(photos, dataset_name="yard", scene_name="north", options=SMALL)
        job = client.wait(job_id, progress=False, timeout_s=240)
        assert job["stage"] == "success", job
        yield client, job


def test_a_script_gets_clouds_and_poses_in_a_few_lines(done, tmp_path, photos):
    client, job = done
    client._http.headers["Authorization"] = "Bearer long-expired"
    written = client.download(job["job_id"], tmp_path)
    client._http.headers["Authorization"] = "Bearer long-expired"
    client._save(f"/download/jobs/{job['job_id']}/csv", tmp_path / "again.csv")
    assert [path.suffix for path in written] == [".ply", ".csv"]
    assert len(read_ply(written[0]).points) > 100
    rows = read_poses(written[1])
    readable = {path.name for path in photos.iterdir()} - {"broken.jpg"}
    assert sorted(row.image for row in rows) == sorted(readable)
    assert client.insights(job["job_id"])["n_points"] == job["n_points"]
    assert sum(image["registered"] for image in client.images(job["job_id"])) == 6


def test_all_clouds_come_as_one_zip_that_can_be_had_in_parts(done, web):
    _, job = done
    url = job["download_url"]
    whole = web.anna.get(url)
    assert whole.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 2
    part = web.anna.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    tail = web.anna.get(url, headers={"Range": "bytes=-7", "If-Range": whole.headers["etag"]})
    assert tail.content == whole.content[-7:]
    assert web.anna.get(url, headers={"Range": "bytes=-7", "If-Range": '"older"'}).content == whole.content
    assert web.anna.get(url, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    for far in (f"0-{'9' * 5000}", f"{'9' * 5000}-", "٣-"):
        assert web.anna.get(url, headers={"Range": f"bytes={far}".encode()}).content == whole.content
    assert web.ben.get(url).status_code == 404


def test_one_cloud_is_downloaded_by_its_name(done, web):
    _, job = done
    [cluster] = web.anna.get(f"/clusters/{job['job_id']}").json()["clusters"]
    assert cluster["filename"] == f"cluster0_decimated_model0_{job['job_id'][:8]}.ply"
    assert (cluster["id"], cluster["name"], cluster["num_points3D"]) == (0, "cluster0_model0", job["n_points"])
    answer = web.anna.get(f"{job['download_url']}/{cluster['filename']}")
    assert (answer.headers["content-type"], answer.content[:3]) == ("application/octet-stream", b"ply")
    assert web.anna.get(f"{job['download_url']}/..%2f..%2fjwt-secret").status_code == 404


def test_the_csv_comes_in_both_forms(done, web):
    _, job = done
    plain = web.anna.get(f"{job['download_url']}/csv")
    assert plain.headers["content-type"].startswith("text/csv")
    assert plain.text.splitlines()[0] == "dataset,scene,image,rotation_matrix,translation_vector"
    kaggle = web.anna.get(f"{job['download_url']}/csv", params={"format": "kaggle"})
    assert kaggle.text.startswith("image_id,dataset")
    assert web.anna.get(f"{job['download_url']}/csv", params={"format": "x"}).status_code == 400


def test_cameras_transforms_models_pictures_and_the_report_are_there(done, web):
    _, job = done
    job_id = job["job_id"]
    cameras = web.anna.get(f"/jobs/{job_id}/cameras").json()["cluster0_model0"]
    rotation = np.array(next(iter(cameras["images"].values()))["rotation"])
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert len(web.anna.get(f"/download/jobs/{job_id}/transforms/cluster0_model0").json()["frames"]) == 6
    assert web.anna.get(f"/download/jobs/{job_id}/transforms/nothing").status_code == 404
    assert zipfile.is_zipfile(io.BytesIO(web.anna.get(f"/download/jobs/{job_id}/models").content))
    name = next(iter(cameras["images"]))
    picture = web.anna.get(f"/jobs/{job_id}/thumbnail", params={"name": name})
    assert (picture.headers["content-type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")
    cover = web.anna.get(f"/jobs/{job_id}/thumbnail")
    shown = [web.anna.get(f"/jobs/{job_id}/thumbnail", params={"name": one}).content for one in cameras["images"]]
    assert cover.content in shown
    report = web.anna.get(f"/download/jobs/{job_id}/report")
    assert "sandbox" in report.headers["content-security-policy"]
    assert "</html>" in report.text


def test_the_page_gets_points_pictures_and_the_view_graph_of_ones_own_jobs_only(done, web):
    _, job = done
    job_id = job["job_id"]
    answer = web.anna.get(f"/jobs/{job_id}/clouds/cluster0_model0")
    cloud = decode_viewer_cloud(answer.content)
    assert len(cloud.points) == cloud.total == job["n_points"]
    assert cloud.observations.min() >= 2
    assert answer.headers["etag"]
    head = web.anna.get(f"/jobs/{job_id}/clouds/cluster0_model0", headers={"Range": "bytes=0-3"})
    assert (head.status_code, head.content) == (206, b"RFPC")
    graph = web.anna.get(f"/jobs/{job_id}/view-graph").json()
    assert len(graph["photos"]) == len(graph["clusters"]) == 7
    assert all(first < second < 6 and inliers > 0 for first, second, inliers in graph["pairs"])
    name = graph["photos"][0]
    large = web.anna.get(f"/jobs/{job_id}/thumbnail", params={"name": name, "size": "large"})
    with Image.open(io.BytesIO(large.content)) as picture:
        assert max(picture.size) == 640
    assert np.linalg.norm(web.anna.get(f"/jobs/{job_id}/cameras").json()["cluster0_model0"]["up"]) == pytest.approx(1)
    assert web.anna.get(f"/jobs/{job_id}/clouds/cluster9_model0").status_code == 404
    assert web.anna.get(f"/jobs/{job_id}/clouds/..%2finsights").status_code == 404
    for path in ("clouds/cluster0_model0", "view-graph"):
        assert web.ben.get(f"/jobs/{job_id}/{path}").status_code == 404


def test_insights_tell_the_run_in_numbers(done, web):
    _, job = done
    details = web.anna.get(f"/jobs/{job['job_id']}/insights").json()["details"]
    assert (details["n_registered"], details["n_readable"], details["n_points"]) == (6, 7, job["n_points"])
    assert details["mean_track_length"] >= 2
    assert sum(details["track_length_histogram"].values()) == job["n_points"]
    assert {"extract", "match", "reconstruct"} <= set(details["timings_s"])


def test_a_finished_job_shows_in_the_metrics(done, web):
    text = web.anybody.get("/metrics").text
    assert 'reconflow_jobs_finished_total{error_code="",result="success"} 1.0' in text
    assert "inference_latency_seconds_count 1.0" in text
    assert "registered_images_ratio 0.857" in text
    assert "data_valid_images_total 7.0" in text
    assert 'reconflow_stage_duration_seconds_count{stage="matching"} 1.0' in text


def test_a_download_is_looked_at_without_being_read(done, web):
    _, job = done
    whole = web.anna.get(job["download_url"])
    for _ in range(2):
        answer = web.anna.head(job["download_url"])
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(whole.content))
        assert answer.headers["etag"] == whole.headers["etag"]
    assert web.anna.head(job["download_url"], headers={"Range": "bytes=0-9"}).headers["content-length"] == "10"


def test_dask_tells_prometheus_of_the_workers(done, web):
    [runner] = web.service.ledger.runners(seen_since=time.time() - 15)
    address = re.match(r"http://[^/]+", runner.dashboard_url).group()
    assert "dask_scheduler_workers{" in httpx.get(f"{address}/metrics", follow_redirects=True).text


def test_a_finished_job_cannot_be_cancelled_and_is_deleted_whole(done, web, photos):
    _, job = done
    assert web.anna.post(f"/jobs/{job['job_id']}/cancel").status_code == 409
    assert web.anna.post(f"/jobs/{job['job_id']}/retry").status_code == 409


def test_the_client_raises_what_the_service_says(web, tmp_path):
    with (
        rf.Client(web.url, username="anna", password="wrong") as client,
        pytest.raises(CredentialsError, match="Invalid"),
    ):
        client.jobs()
    with rf.Client(web.url, username="anna", password=PASSWORD) as client:
        with pytest.raises(NotFoundError, match="there is no job"):
            client.job("nothing")
        with pytest.raises(InputError, match="does not exist"):
            client.upload(tmp_path / "nothing")
        with pytest.raises(InputError, match="holds no photo"):
            client.upload(tmp_path)
