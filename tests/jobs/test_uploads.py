import os
import subprocess
import sys
import time

import pytest

from reconflow.errors import NotFoundError, UploadBusyError
from reconflow.jobs.forms import UploadForm
from reconflow.jobs.uploads import Uploads

ANNA = "0b6f5f7e-0000-4000-8000-000000000001"


@pytest.fixture
def uploads(tmp_path):
    return Uploads(tmp_path / "uploads")


def begin(uploads, length=10):
    return uploads.create(ANNA, length=length, metadata="", form=UploadForm()).upload_id


def test_a_lock_holds_among_processes_and_falls_with_its_holder(uploads, tmp_path):
    upload_id = begin(uploads)
    script = (
        "import sys, time; from pathlib import Path; from reconflow.jobs.uploads import Uploads;"
        "writer = Uploads(Path(sys.argv[1])).writer(sys.argv[2], sys.argv[3], offset=0);"
        "writer.write(b'abc'); print('writing', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "uploads"), ANNA, upload_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(UploadBusyError):
            uploads.writer(ANNA, upload_id, offset=3)
        uploads.sweep()
        assert uploads.get(ANNA, upload_id).offset == 3
        other.kill()
    with uploads.writer(ANNA, upload_id, offset=3) as writer:
        writer.write(b"defghij")
    assert uploads.get(ANNA, upload_id).offset == 10


def test_a_deletion_cut_short_is_finished_by_the_next_sweep(uploads, tmp_path):
    upload_id = begin(uploads)
    (tmp_path / "uploads" / upload_id).rename(tmp_path / "uploads" / f".deleted-{upload_id}")
    with pytest.raises(NotFoundError):
        uploads.get(ANNA, upload_id)
    uploads.sweep()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_slow_upload_does_not_expire_while_bytes_come(tmp_path):
    uploads = Uploads(tmp_path, lifetime_s=100)
    upload_id = begin(uploads)
    path = tmp_path / upload_id / "photos.zip"
    os.utime(path, (time.time() - 90, time.time() - 90))
    assert uploads.get(ANNA, upload_id).expires_at < time.time() + 11
    with uploads.writer(ANNA, upload_id, offset=0) as writer:
        writer.write(b"x")
    assert uploads.get(ANNA, upload_id).expires_at > time.time() + 90
