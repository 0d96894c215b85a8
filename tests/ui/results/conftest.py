"""Finished jobs whose results were written as the runner writes them, large ones too."""

import io
import time
import uuid
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageDraw

from reconflow.core.cameras import Camera, Pose
from reconflow.core.drift import DriftCheck, DriftReport
from reconflow.core.models import Model, RegisteredImage
from reconflow.core.viewer_clouds import encode_viewer_cloud
from reconflow.jobs.files import DataFolder
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.publication import _cameras
from reconflow.jobs.records import Job
from reconflow.jobs.results import ClusterEntry, ImageEntry, RunDetails, ViewGraph
from reconflow.jobs.settings import load_settings

LEFT_OUT = "no verified match with any photo"


def looking_at_the_middle(angle, height=0.4, radius=3.0):
    center = np.array([radius * np.cos(angle), -height, radius * np.sin(angle)])
    z = -center / np.linalg.norm(center)
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    return Pose(rotation, -rotation @ center)


def make_ball(name, *, points, photos):
    """A model of a coloured ball with cameras on an arc; y points down in its world."""
    rng = np.random.default_rng(len(name))
    place = rng.normal(size=(points, 3))
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    images = {
        f"{name}/{number:04d}.jpg": RegisteredImage(
            name=f"{name}/{number:04d}.jpg",
            cam_from_world=looking_at_the_middle(np.linspace(0.2, 2.6, photos)[number]),
            camera_id=1,
            observations=500 + number,
            mean_error_px=0.5,
        )
        for number in range(photos)
    }
    return Model(
        name=name,
        images=images,
        cameras={1: Camera.from_focal("SIMPLE_RADIAL", 640, 480, 600.0, prior=True)},
        points=place,
        colors=(127.5 * (place + 1)).astype(np.uint8),
        errors_px=rng.uniform(0.1, 2, points).astype(np.float32),
        track_lengths=rng.integers(2, 12, points).astype(np.int32),
    )


def entries(models):
    placed = [
        ImageEntry(
            name=image.name,
            registered=True,
            status="registered",
            cluster=model.name,
            inliers=image.observations,
            mean_reprojection_error_px=image.mean_error_px + number / 1000,
            reason="",
            width=640,
            height=480,
            connected_photos=2,
        )
        for model in models
        for number, image in enumerate(model.images.values())
    ]
    stray = {"registered": False, "cluster": None, "inliers": 0, "mean_reprojection_error_px": None}
    lost = ImageEntry(name="stray.jpg", status="outlier", reason=LEFT_OUT, width=640, height=480, **stray)
    return [*placed, lost]


def picture(text, size):
    image = Image.new("RGB", size, (90, 130, 190))
    ImageDraw.Draw(image).text((6, 6), text, fill="white")
    content = io.BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()


def write_result(folder, models):
    images = entries(models)
    for name in ("clouds", "thumbnails", "previews"):
        (folder / name).mkdir(parents=True)
    for model in models:
        (folder / "clouds" / f"{model.name}.bin").write_bytes(encode_viewer_cloud(model))
    for name, size in (("thumbnails", (160, 120)), ("previews", (640, 480))):
        (folder / name / "000000.jpg").write_bytes(picture(name, size))
    names = [image.name for image in images]
    chain = [(k, k + 1, 40 + 10 * k) for k in range(len(names) - 2)]
    clusters = [
        ClusterEntry(id=k, name=model.name, num_points3D=len(model.points), filename="")
        for k, model in enumerate(models)
    ]
    details = RunDetails(
        n_images=len(images),
        n_readable=len(images),
        n_registered=len(images) - 1,
        n_points=sum(len(model.points) for model in models),
        mean_track_length=4.2,
        mean_reprojection_error_px=0.51,
        track_length_histogram={"2": 100, "3": 400, "10+": 50},
        n_pairs=2 * len(chain),
        n_verified_pairs=len(chain),
        warnings=[],
        recommendations=["Take more photos between a.jpg and b.jpg: 3 photos of cluster 0 hang on this one pair."],
        timings_s={"extract": 12.0, "match": 61.0},
    )
    files = {
        "images.json": images,
        "clusters.json": clusters,
        "cameras.json": {model.name: _cameras(model, {}) for model in models},
        "view-graph.json": ViewGraph(photos=names, clusters=[image.cluster for image in images], pairs=chain),
        "insights.json": details,
        "thumbnails.json": dict.fromkeys(names, "000000.jpg"),
    }
    for name, content in files.items():
        (folder / name).write_bytes(msgspec.json.encode(content))


def darker(brightness):
    common = {"statistic": "robust_z", "threshold": 3.0, "n": 9}
    dark = DriftCheck(drift=True, severity="high", value=-6.0, baseline=0.5, current=brightness, **common)
    sharp = DriftCheck(drift=False, severity="low", value=0.4, baseline=-5.1, current=-5.0, **common)
    checks = {"brightness": dark, "sharpness": sharp}
    return DriftReport(drift_detected=True, severity="high", checks=checks)


@pytest.fixture(scope="module")
def publish(service, api):
    """Puts a finished job of these models into the service, as the runner would."""
    command = service.process.args
    data_dir = Path(command[command.index("--data-dir") + 1])
    settings = load_settings({}, data_dir=data_dir)
    files = DataFolder(data_dir, min_free_bytes=0)
    [admin] = [user for user in api.get("/users").json()["users"] if user["name"] == "admin"]

    def put(name, models):
        job_id = str(uuid.uuid4())
        write_result(files.result(job_id), models)
        now = time.time()
        job = Job(
            job_id=job_id,
            owner_id=admin["user_id"],
            dataset_name=name,
            scene_name="made",
            stage="success",
            progress=100.0,
            created_at=now - 80,
            started_at=now - 75,
            finished_at=now,
            n_images=sum(len(model.images) for model in models) + 1,
            n_points=sum(len(model.points) for model in models),
            registration_rate=0.95,
            options={},
            drift=darker(0.2),
        )
        with Ledger.open(settings.ledger_url) as ledger:
            ledger.add_job(job)
        return job_id

    return put


@pytest.fixture(scope="session")
def ball():
    return make_ball


@pytest.fixture(scope="module")
def two_balls(publish):
    return publish(
        "Balls",
        [make_ball("cluster0_model0", points=4000, photos=9), make_ball("cluster1_model0", points=900, photos=6)],
    )


@pytest.fixture
def opened(signed_in):
    """Opens a part of a job."""

    def show(job_id, part="scene"):
        signed_in.goto(f"/#/jobs/{job_id}/{part}")
        return signed_in

    return show
