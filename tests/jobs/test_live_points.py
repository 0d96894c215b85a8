"""Points that are there while a real job is being mapped."""

import time
import zipfile

import pytest

from reconflow.core.viewer_clouds import decode_viewer_cloud
from reconflow.errors import JobStateError, NotFoundError
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from reconflow.jobs.states import FINISHED
from reconflow.world.photos import make_sample

ANNA, BEN = (User(user_id=name, name=name, role="user", created_at=0.0) for name in ("anna", "ben"))
SMALL = '{"extract": {"max_keypoints": 1500, "long_edge_px": 640}}'


@pytest.mark.slow
def test_points_are_there_before_the_job_has_ended_and_gone_with_its_end(tmp_path):
    photos = make_sample(tmp_path / "p", scenes=("courtyard",), photos_per_scene=14, strays=0, size=(640, 480)).images
    settings = load_settings({}, data_dir=tmp_path / "data", workers=2, min_free_bytes=1 << 20)
    with Ledger.open(settings.ledger_url) as ledger:
        service = JobService(settings, ledger)
        upload = service.incoming_path()
        with zipfile.ZipFile(upload, "w") as archive:
            for path in sorted(photos.iterdir()):
                archive.write(path, path.name)
        job_id = service.accept_upload(ANNA, upload, options=SMALL).job_id
        assert service.live_cloud(ANNA, job_id) is None
        with pytest.raises(NotFoundError):
            service.live_cloud(BEN, job_id)
        seen, deadline = set(), time.monotonic() + 240
        with RunnerProcess(settings):
            while ledger.job(job_id).stage not in FINISHED and time.monotonic() < deadline:
                if content := service.files.live_cloud(job_id):
                    seen.add(content)
                time.sleep(0.02)
        assert ledger.job(job_id).stage == "success"
        assert seen
        assert all(len(decode_viewer_cloud(content).points) > 50 for content in seen)
        with pytest.raises(JobStateError, match="ended"):
            service.live_cloud(ANNA, job_id)
        assert service.files.live_cloud(job_id) is None
