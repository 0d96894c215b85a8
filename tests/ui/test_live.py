"""Points that come while the cameras are being worked out."""

import io
import time
import uuid

import numpy as np
import pytest
from PIL import Image

from reconflow.core.drift import DriftReport
from reconflow.core.models import Model
from reconflow.core.viewer_clouds import encode_viewer_cloud
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.store.publish import publishing

pytestmark = pytest.mark.ui


@pytest.fixture
def mapped(service):
    """A job that somebody maps: the test itself. Gives the ledger, the job's id, and where its points go."""
    job = Job(
        job_id=str(uuid.uuid4()), owner_id="somebody", dataset_name="Chapel", scene_name="inside", n_images=20,
        created_at=time.time(), stage="triangulating", options={}, drift=DriftReport(), progress=70,
    )  # fmt: skip
    place = service.data_dir / "jobs" / job.job_id / "run" / "work" / "live" / "scene.bin"
    with Ledger.open(f"sqlite:///{service.data_dir / 'reconflow.db'}") as ledger:
        ledger.add_job(job)
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql(
                f"UPDATE jobs SET runner = 'us', lease_until = 1e12 WHERE job_id = '{job.job_id}'"
            )
        yield ledger, job.job_id, place
        Claims(ledger).finish(job.job_id, "us", stage="cancelled", message="Cancelled.")
        ledger.delete(job.job_id)


def put(place, count):
    rng = np.random.default_rng(count)
    model = Model(
        name="cluster0_model0", images={}, cameras={}, points=rng.normal(size=(count, 3)),
        colors=np.full((count, 3), (250, 210, 120), np.uint8), errors_px=np.ones(count, np.float32),
        track_lengths=np.full(count, 3, np.int32),
    )  # fmt: skip
    with publishing(place) as partial:
        partial.write_bytes(encode_viewer_cloud(model))


def pixels(canvas):
    with Image.open(io.BytesIO(canvas.screenshot())) as picture:
        return np.asarray(picture.convert("RGB"), np.int32)


def advance(ledger, job_id, placed):
    message = f"reconstruct: {placed} of 20"
    assert Claims(ledger).advance(job_id, "us", stage="triangulating", progress=70 + placed / 2, message=message)


def test_whoever_cancels_sees_that_it_is_under_way(signed_in, mapped):
    page = signed_in
    ledger, job_id, _ = mapped
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    under_way = page.get_by_role("button", name="Cancelling …")
    under_way.wait_for()
    assert under_way.is_disabled()
    assert ledger.is_cancel_requested(job_id)
    advance(ledger, job_id, 3)
    page.get_by_text("3 of 20").first.wait_for()
    assert under_way.is_disabled()
    Claims(ledger).finish(job_id, "us", stage="cancelled", message="Cancelled.")
    page.get_by_role("heading", name="This job was cancelled").wait_for()


def test_points_are_drawn_as_they_come_and_go_with_the_jobs_end(signed_in, mapped, shot):
    page = signed_in
    ledger, job_id, place = mapped
    asked = []
    page.on("response", lambda answer: asked.append(answer.status) if answer.url.endswith("/clouds/live") else None)
    page.goto(f"/#/jobs/{job_id}")
    page.get_by_role("region", name="Progress").wait_for()
    with page.expect_response(lambda answer: answer.url.endswith("/clouds/live")) as nothing:
        advance(ledger, job_id, 2)
    assert nothing.value.status == 204
    put(place, 2000)
    advance(ledger, job_id, 5)
    page.get_by_text("2,000 points so far").wait_for()
    canvas = page.get_by_role("region", name="Points so far").locator("canvas")
    page.wait_for_timeout(300)
    before = pixels(canvas)
    assert (before[..., 0] > 150).mean() > 0.005
    canvas.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert np.abs(pixels(canvas) - before).mean() > 1
    put(place, 30_000)
    for placed in range(6, 20):
        advance(ledger, job_id, placed)
        if page.get_by_text("30,000 points so far").count():
            break
        page.wait_for_timeout(500)
    page.get_by_text("30,000 points so far").wait_for()
    shot(page, "job-live")
    assert set(asked) <= {200, 204, 304}
    Claims(ledger).finish(job_id, "us", stage="cancelled", message="Cancelled.")
    page.get_by_role("heading", name="This job was cancelled").wait_for()
    assert page.get_by_role("region", name="Points so far").count() == 0
