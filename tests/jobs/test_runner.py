"""Real runner processes on a real ledger, with rendered photos; and what is left when they are killed."""

import contextlib
import csv
import io
import os
import signal
import time
import zipfile

import msgspec
import numpy as np
import pytest

from reconflow.core.submission import OUTLIERS, read_poses
from reconflow.errors import JobStateError, NotFoundError
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from reconflow.jobs.states import FINISHED
from reconflow.world.photos import make_sample

ANNA = User(user_id="anna", name="anna", role="user", created_at=0.0)
BEN = User(user_id="ben", name="ben", role="user", created_at=0.0)
SMALL = '{"extract": {"max_keypoints": 1500, "long_edge_px": 640}}'


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=1, size=(640, 480)
    )


ON_BOTH = pytest.mark.parametrize("service", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def service(request, tmp_path, database):
    """A service on SQLite, or on the database that a test asks for."""
    with database(getattr(request, "param", "sqlite"), tmp_path) as url:
        given = {"data_dir": tmp_path / "data", "database_url": url, "min_free_bytes": 1 << 20}
        settings = load_settings({}, lease_s=3, workers=2, **given)
        with Ledger.open(settings.ledger_url) as ledger:
            yield JobService(settings, ledger)


def upload(service, photos, user=ANNA, **fields):
    with zipfile.ZipFile(path := service.incoming_path(), "w") as archive:
        for photo in sorted(photos.images.iterdir()):
            archive.write(photo, f"deep/{photo.name}")
    return service.accept_upload(user, path, options=SMALL, **fields).job_id


def wait(service, job_id, *, until=FINISHED, timeout_s=120):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        job = service.ledger.job(job_id)
        if job.stage in until:
            return job
        time.sleep(0.02)
    raise AssertionError(f"still {job.stage} ({job.message}) after {timeout_s} s: {service.ledger.events(job_id)}")


@ON_BOTH
def test_an_upload_becomes_clouds_poses_and_tables(service, photos):
    job_id = upload(service, photos, dataset_name="yard", scene_name="north")
    with pytest.raises(JobStateError, match="not finished"):
        service.result(ANNA, job_id)
    with RunnerProcess(service.settings):
        job = wait(service, job_id)
        assert service.device() == "cpu"
    assert (job.stage, job.progress, job.error) == ("success", 100, None)
    assert job.registration_rate == pytest.approx(6 / 7)
    assert job.n_points > 100
    result = service.result(ANNA, job_id)
    names = [path.name for path in result.ply_paths()]
    assert names == [f"cluster0_decimated_model0_{job_id[:8]}.ply", f"cluster0_model0_{job_id[:8]}.ply"]
    with zipfile.ZipFile(result.zip_of_plys()) as archive:
        assert archive.namelist() == names
    with zipfile.ZipFile(result.zip_of_models()) as archive:
        assert {"cluster0_model0/cameras.bin", "cluster0_model0/images.bin"} <= set(archive.namelist())
    rows = read_poses(result.folder / "submission.csv")
    assert sorted(row.image for row in rows) == sorted(f"deep/{path.name}" for path in photos.images.iterdir())
    assert {row.scene for row in rows} == {"north", OUTLIERS}
    assert {row.dataset for row in rows} == {"yard"}
    kaggle = list(csv.reader(io.StringIO(result.csv(kaggle=True).decode())))
    assert kaggle[0][0] == "image_id"
    assert sum(image.registered for image in result.images()) == 6
    assert result.thumbnail(rows[0].image)[:2] == b"\xff\xd8"
    with pytest.raises(NotFoundError):
        result.ply("../../jwt-secret")


def test_transforms_hold_the_same_cameras_as_the_poses(service, photos):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        assert wait(service, job_id).stage == "success"
    result = service.result(ANNA, job_id)
    images = result.cameras()["cluster0_model0"]["images"]
    frames = result.transforms("cluster0_model0")["frames"]
    assert [frame["file_path"] for frame in frames] == sorted(images)
    for frame in frames:
        pose = images[frame["file_path"]]
        center = -np.array(pose["rotation"]).T @ np.array(pose["translation"])
        matrix = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(matrix[:3, 3], center, atol=1e-9)
        np.testing.assert_allclose(-matrix[:3, 2], np.array(pose["rotation"])[2], atol=1e-9)  # looks along -z


def test_photos_that_share_nothing_fail_with_a_code_and_a_hint(service, noise):
    path = noise.pack(service.incoming_path(), noise.entries(4))
    job_id = service.accept_upload(ANNA, path, options=SMALL).job_id
    with RunnerProcess(service.settings):
        job = wait(service, job_id)
    assert (job.stage, job.error_code, job.progress) == ("failed", "no_matches", 0)
    assert "overlap" in job.message
    assert not service.result(ANNA, job_id).clusters()
    with pytest.raises(NotFoundError, match="no point cloud"):
        service.result(ANNA, job_id).zip_of_plys()


def test_progress_never_goes_back_and_every_stage_is_told(service, photos):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        wait(service, job_id)
    events = service.events(ANNA, job_id)
    assert [event.progress for event in events] == sorted(event.progress for event in events)
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == ["queued", "extracting", "matching", "triangulating", "decimating", "success"]


def test_one_user_does_not_see_anothers_jobs(service, photos):
    job_id = upload(service, photos)
    for ask in (service.job, service.cancel, service.delete, service.events, service.clusters, service.insights):
        with pytest.raises(NotFoundError):
            ask(BEN, job_id)
    assert service.jobs(BEN).jobs == ()
    assert service.job(msgspec.structs.replace(BEN, role="admin"), job_id).job_id == job_id


def test_the_same_key_makes_one_job_and_keeps_one_upload(service, photos):
    first, second = (upload(service, photos, idempotency_key="k") for _ in range(2))
    assert first == second
    assert [path.name for path in service.files.jobs.iterdir()] == [first]
    assert list(service.files.incoming.iterdir()) == []


@pytest.mark.parametrize("stage", ["matching", "triangulating", "decimating"])
def test_a_job_is_cancelled_within_seconds_and_goes_on_when_it_is_retried(service, photos, stage):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        wait(service, job_id, until=(stage, *FINISHED))
        service.cancel(ANNA, job_id)
        assert wait(service, job_id, timeout_s=10).stage == "cancelled"
        with pytest.raises(JobStateError, match="already ended"):
            service.cancel(ANNA, job_id)
        service.retry(ANNA, job_id)
        assert wait(service, job_id).stage == "success"
    messages = [event.message for event in service.events(ANNA, job_id)]
    assert any("stored already" in message for message in messages)


def test_a_job_that_is_cancelled_while_photos_are_extracted_makes_room_for_the_next(service, photos, noise):
    entries = [(f"{seed}.png", noise.picture(seed, (1000, 800))) for seed in range(40)]
    path = noise.pack(service.incoming_path(), entries)
    long = service.accept_upload(ANNA, path, options='{"extract": {"max_keypoints": 8000}}').job_id
    with RunnerProcess(service.settings):
        wait_for_message(service, long, "extract: ")
        service.cancel(ANNA, long)
        assert wait(service, long, timeout_s=10).stage == "cancelled"
        assert wait(service, upload(service, photos)).stage == "success"
    told = [event.message for event in service.events(ANNA, long)]
    assert not any(message.startswith("extract: done") for message in told)


def test_a_queued_job_is_cancelled_at_once_and_deleted_whole(service, photos):
    job_id = upload(service, photos)
    assert service.cancel(ANNA, job_id).stage == "cancelled"
    service.delete(ANNA, job_id)
    assert service.ledger.job(job_id) is None
    assert list(service.files.jobs.iterdir()) == []


def runner_pids(service):
    return [int(state.runner.split(":")[1]) for state in service.ledger.runners(seen_since=time.time() - 60)]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["extracting", "matching", "triangulating", "decimating"])
def test_a_runner_killed_in_any_stage_loses_no_job(service, photos, stage):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        wait(service, job_id, until=(stage, *FINISHED))
        for pid in runner_pids(service):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        job = wait(service, job_id)
    assert (job.stage, job.registration_rate) == ("success", pytest.approx(6 / 7))
    assert not [path for path in service.files.job(job_id).rglob("*") if path.name.startswith(".partial")]


@pytest.mark.slow
def test_a_runner_that_is_stopped_gives_its_job_back_uncounted(service, photos):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        wait(service, job_id, until=("matching", *FINISHED))
    left = service.ledger.job(job_id)
    assert (left.stage, left.attempt) == ("queued", 0)
    with RunnerProcess(service.settings):
        assert wait(service, job_id).stage == "success"


@pytest.mark.slow
@ON_BOTH
def test_two_runners_share_the_jobs_and_run_none_twice(service, photos):
    jobs = [upload(service, photos, user=user) for user in (ANNA, BEN, ANNA)]
    with RunnerProcess(service.settings), RunnerProcess(service.settings):
        assert [wait(service, job_id).stage for job_id in jobs] == ["success"] * 3
    assert [service.ledger.job(job_id).attempt for job_id in jobs] == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["matching", "triangulating"])
def test_a_runner_that_was_only_slow_costs_its_job_nothing(service, photos, stage):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        wait(service, job_id, until=(stage, *FINISHED))
        [slow] = runner_pids(service)
        os.kill(slow, signal.SIGSTOP)
        try:
            with RunnerProcess(service.settings):
                wait_for_message(service, job_id, "the process that had the job before")
                os.kill(slow, signal.SIGCONT)
                job = wait(service, job_id)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(slow, signal.SIGCONT)
    assert (job.stage, job.attempt, job.registration_rate) == ("success", 2, pytest.approx(6 / 7))


@ON_BOTH
def test_a_ledger_that_does_not_answer_for_a_while_costs_no_job(service, photos):
    job_id = upload(service, photos)
    with RunnerProcess(service.settings):
        wait(service, job_id, until=("matching", *FINISHED))
        with service.ledger.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE jobs RENAME TO away")
        deadline = time.monotonic() + 120
        while not service.files.result(job_id).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)  # in which the end of the job is told in vain
        with service.ledger.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO jobs")
        job = wait(service, job_id)
        assert service.device() == "cpu"
    assert (job.stage, job.attempt, job.registration_rate) == ("success", 1, pytest.approx(6 / 7))


def wait_for_message(service, job_id, words, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while words not in (job := service.ledger.job(job_id)).message:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)


def test_a_job_that_takes_too_long_fails_with_a_time_out(tmp_path, photos):
    settings = load_settings({}, data_dir=tmp_path, lease_s=3, workers=1, job_timeout_s=1, min_free_bytes=0)
    with Ledger.open(settings.ledger_url) as ledger:
        service = JobService(settings, ledger)
        job_id = upload(service, photos)
        with RunnerProcess(settings):
            job = wait(service, job_id)
    assert (job.stage, job.error_code) == ("failed", "timeout")
