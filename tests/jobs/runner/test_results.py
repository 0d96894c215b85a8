"""What a job has to show once it came through."""

import csv
import io
import zipfile

import numpy as np
import pytest

from reconflow.core.submission import OUTLIERS, read_poses
from reconflow.errors import NotFoundError


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request, open_desk, tmp_path_factory):
    with open_desk(request.param, tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture(scope="module")
def job(desk):
    """A job that came through."""
    job_id = desk.upload(dataset_name="yard", scene_name="north")
    with desk.runner():
        ended = desk.wait(job_id)
        assert desk.service.device() == "cpu"
    return ended


@pytest.fixture
def result(desk, job):
    return desk.service.result(desk.anna, job.job_id)


def test_an_upload_becomes_clouds_and_models(job, result):
    assert (job.stage, job.progress, job.error) == ("success", 100, None)
    assert job.registration_rate == pytest.approx(6 / 7)
    assert job.n_points > 100
    names = [path.name for path in result.ply_paths()]
    assert names == [f"cluster0_decimated_model0_{job.job_id[:8]}.ply", f"cluster0_model0_{job.job_id[:8]}.ply"]
    with zipfile.ZipFile(result.zip_of_plys()) as archive:
        assert archive.namelist() == names
    with zipfile.ZipFile(result.zip_of_models()) as archive:
        assert {"cluster0_model0/cameras.bin", "cluster0_model0/images.bin"} <= set(archive.namelist())
    with pytest.raises(NotFoundError):
        result.ply("../../jwt-secret")


def test_an_upload_becomes_poses_and_tables(photos, result):
    rows = read_poses(result.folder / "submission.csv")
    assert sorted(row.image for row in rows) == sorted(f"deep/{path.name}" for path in photos.images.iterdir())
    assert {row.scene for row in rows} == {"north", OUTLIERS}
    assert {row.dataset for row in rows} == {"yard"}
    kaggle = list(csv.reader(io.StringIO(result.csv(kaggle=True).decode())))
    assert kaggle[0][0] == "image_id"
    assert sum(image.registered for image in result.images()) == 6
    assert result.thumbnail(rows[0].image)[:2] == b"\xff\xd8"


def test_transforms_hold_the_same_cameras_as_the_poses(result):
    images = result.cameras()["cluster0_model0"]["images"]
    frames = result.transforms("cluster0_model0")["frames"]
    assert [frame["file_path"] for frame in frames] == sorted(images)
    for frame in frames:
        pose = images[frame["file_path"]]
        center = -np.array(pose["rotation"]).T @ np.array(pose["translation"])
        matrix = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(matrix[:3, 3], center, atol=1e-9)
        np.testing.assert_allclose(-matrix[:3, 2], np.array(pose["rotation"])[2], atol=1e-9)  # looks along -z


def test_progress_never_goes_back_and_every_stage_is_told(desk, job):
    events = desk.service.events(desk.anna, job.job_id)
    assert [event.progress for event in events] == sorted(event.progress for event in events)
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == ["queued", "extracting", "matching", "triangulating", "decimating", "success"]
