"""A look at an upload that ends before its end: by a signal, with the service, or because it takes too long."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile

import numpy as np
import psutil
import pytest
from PIL import Image

from reconflow.errors import InputError, NotExaminedError
from reconflow.jobs import intake
from reconflow.jobs.forms import UploadForm
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings

ANNA = User(user_id=str(uuid.uuid4()), name="anna", role="user", created_at=0.0)
LOOK = """
import sys, threading
from pathlib import Path
from reconflow.jobs.intake import look_at
place = Path(sys.argv[1])
look_at(place, unpack_to=place.parent / "to", baseline=place, max_megapixels=1.0, stopping=threading.Event())
"""


@pytest.fixture
def service(tmp_path):
    settings = load_settings({}, data_dir=tmp_path / "data", min_free_bytes=1 << 20)
    with Ledger.open(settings.ledger_url) as ledger:
        yield JobService(settings, ledger)


@pytest.fixture(scope="module")
def small_zip():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for seed in range(3):
            pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
            with archive.open(f"{seed}.png", "w") as file:
                Image.fromarray(pixels).save(file, "PNG")
    return content.getvalue()


@pytest.fixture
def endless(tmp_path):
    """An upload whose bytes never come: opening it waits for a writer."""
    os.mkfifo(tmp_path / "upload.zip")
    return tmp_path / "upload.zip"


def looking(pid):
    """The process that looks at an upload for the process of a number, once it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "reconflow.jobs.intake" in child.cmdline():
                    return child
        time.sleep(0.005)
    raise AssertionError("nobody looks at the upload")


def complete(service, content):
    upload = service.begin_upload(ANNA, length=len(content), metadata="", form=UploadForm())
    with service.uploads.writer(ANNA.user_id, upload.upload_id, offset=0) as writer:
        writer.write(content)
    return upload


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_from_outside_refuses_nothing_and_the_next_look_makes_the_job(service, small_zip, number):
    upload = complete(service, small_zip)
    killer = threading.Thread(target=lambda: looking(os.getpid()).send_signal(number))
    killer.start()
    with pytest.raises(NotExaminedError, match="try again"):
        service.end_upload(ANNA, upload.upload_id)
    killer.join()
    assert upload.path.read_bytes() == small_zip
    assert service.end_upload(ANNA, upload.upload_id) == upload.upload_id


def test_a_crash_is_the_uploads_own_fault(service, small_zip):
    upload = complete(service, small_zip)
    killer = threading.Thread(target=lambda: looking(os.getpid()).send_signal(signal.SIGSEGV))
    killer.start()
    with pytest.raises(InputError, match="crashed"):
        service.end_upload(ANNA, upload.upload_id)
    killer.join()
    assert not upload.path.exists()


def test_python_that_does_not_start_says_nothing_of_the_upload(endless, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NotExaminedError, match="try again"):
        intake.look_at(
            endless, unpack_to=tmp_path / "to", baseline=tmp_path, max_megapixels=1.0, stopping=threading.Event()
        )


def test_the_look_gets_no_signal_of_our_terminal_and_ends_with_us(endless):
    with subprocess.Popen([sys.executable, "-c", LOOK, str(endless)]) as parent:
        child = looking(parent.pid)
        assert os.getsid(child.pid) == child.pid
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()


def test_a_look_that_takes_too_long_says_nothing_of_the_upload(endless, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "_TIMEOUT_S", 0.5)
    with pytest.raises(NotExaminedError, match="too long"):
        intake.look_at(
            endless, unpack_to=tmp_path / "to", baseline=tmp_path, max_megapixels=1.0, stopping=threading.Event()
        )
    assert not [child for child in psutil.Process().children() if "intake" in " ".join(child.cmdline())]


def test_a_service_that_ends_waits_for_no_look(service, endless):
    stopper = threading.Thread(target=lambda: (looking(os.getpid()), service.stop()))
    stopper.start()
    with pytest.raises(NotExaminedError, match="ending"):
        service.accept_upload(ANNA, endless)
    stopper.join()
    assert list(service.files.jobs.iterdir()) == []
