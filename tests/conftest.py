import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("reconflow", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("reconflow")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} names no folder")
    return Path(value)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photos with ground truth."""
    return _folder("RECONFLOW_TEST_DATA")


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of model weights."""
    return _folder("RECONFLOW_WEIGHTS")


class Serving:
    """``reconflow serve`` in a process of its own, with its output read along.

    ``url`` is where it listens, once it has said so.
    """

    def __init__(self, data_dir, *options, **environment):
        command = [sys.executable, "-m", "reconflow.cli", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECONFLOW_")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept | environment
        )
        self.said = ""
        self._url = None
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said += line
            if self._url is None and (found := re.search(r"Web service: (http://\S+)", line)):
                self._url = found.group(1)
                self._listening.set()
        self._listening.set()

    @property
    def url(self):
        assert self._listening.wait(60), f"it says nothing: {self.said}"
        assert self._url, f"it does not listen: {self.said}"
        return self._url

    def wait_until_up(self, path="/health", timeout_s=90):
        import httpx

        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url + path).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not up: {self.said}")

    def end(self, number=signal.SIGTERM, timeout_s=30):
        """Send a signal and wait for the end; return how long it took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=timeout_s)
        took = time.monotonic() - started
        self._reader.join(timeout=timeout_s)
        self.process.stdout.close()
        return took


@pytest.fixture(scope="session")
def serving():
    """The class that starts a service, for fixtures that live longer than a test."""
    return Serving


@pytest.fixture
def serve(tmp_path):
    """Starts services on one data directory: ``serve("--workers", "2", RECONFLOW_LEASE_S="3")``."""
    running = []

    def start(*options, **environment):
        running.append(Serving(tmp_path / "data", *options, **environment))
        return running[-1]

    yield start
    for each in running:
        each.end(signal.SIGKILL)
