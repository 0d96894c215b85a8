"""``reconflow serve`` as a person starts it, kills it and starts it again."""

import contextlib
import re
import signal
import socket
import threading
import time

import httpx
import pytest

import reconflow as rf
from reconflow.world.photos import make_sample

SMALL = {"extract": {"max_keypoints": 1500, "long_edge_px": 640}}
SETTINGS = {
    "RECONFLOW_ADMIN_PASSWORD": "correct horse",
    "RECONFLOW_LEASE_S": "3",
    "RECONFLOW_MIN_FREE_BYTES": "1000000",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480)
    ).images


def wait_for(serving, words, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while words not in serving.said:
        assert time.monotonic() < deadline, serving.said
        time.sleep(0.05)
    return serving.said


def test_the_first_start_tells_a_password_once_and_a_second_start_does_not(serve):
    first = serve()
    first.wait_until_up()
    password = re.search(r"password (\S+)", first.said).group(1)
    login = {"username": "admin", "password": password}
    assert httpx.post(f"{first.url}/auth/token", json=login).status_code == 200
    assert re.search(r"Dask dashboard: http://127.0.0.1:\d+/status", wait_for(first, "Dask dashboard"))
    first.end()
    assert first.process.returncode == 0
    second = serve()
    second.wait_until_up()
    assert httpx.post(f"{second.url}/auth/token", json=login).status_code == 200
    second.end()
    assert "password" not in second.said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RECONFLOW_JWT_SECRET": "short"}, "RECONFLOW_JWT_SECRET: must be at least 32 bytes long"),
        ({"RECONFLOW_CONFIG": __file__}, "is not valid TOML"),
        ({"MAX_CONCURRENT_JOBS": "none"}, "MAX_CONCURRENT_JOBS: expected int"),
        ({"RECONFLOW_DATABASE_URL": "postgresql+psycopg://127.0.0.1:9/x"}, "the database cannot be opened"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(serve, settings, words):
    serving = serve(**settings)
    assert serving.process.wait(timeout=60) == 2
    serving.end()
    assert words in serving.said
    assert "Traceback" not in serving.said


def test_a_port_that_is_taken_is_refused_with_a_sentence(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = serve("--port", str(port))
        assert serving.process.wait(timeout=60) == 2
        serving.end()
    assert f"port {port} is taken" in serving.said
    assert "Traceback" not in serving.said


@pytest.mark.slow
def test_a_job_outlives_the_web_process_that_took_it(serve, photos, database_url):
    settings = SETTINGS | {"RECONFLOW_DATABASE_URL": database_url}
    first = serve("--workers", "2", **settings)
    first.wait_until_up()
    with rf.Client(first.url, username="admin", password="correct horse") as client:
        job_id = client.upload(photos, options=SMALL)
        deadline = time.monotonic() + 90
        while client.job(job_id)["stage"] in ("queued", "extracting"):
            assert time.monotonic() < deadline, first.said
            time.sleep(0.05)
    first.end(signal.SIGKILL)
    second = serve("--workers", "2", **settings)
    second.wait_until_up("/ready")
    with rf.Client(second.url, username="admin", password="correct horse") as client:
        job = client.wait(job_id, progress=False, timeout_s=120)
    assert (job["stage"], job["registration_rate"]) == ("success", 1.0), second.said


@pytest.mark.slow
def test_it_ends_within_seconds_though_somebody_listens(serve, photos):
    serving = serve("--workers", "2", **SETTINGS)
    serving.wait_until_up("/ready")
    with rf.Client(serving.url, username="admin", password="correct horse") as client:
        job_id = client.upload(photos, options={"extract": {"max_keypoints": 20_000, "long_edge_px": 3000}})
        headers = {"Accept": "text/event-stream", **dict(client._http.headers)} | {"Accept": "text/event-stream"}
        heard = threading.Event()

        def listen():
            with (
                contextlib.suppress(httpx.HTTPError),
                httpx.stream("GET", f"{serving.url}/jobs/{job_id}/events", headers=headers, timeout=60) as answer,
            ):
                for _ in answer.iter_lines():
                    heard.set()

        listener = threading.Thread(target=listen)
        listener.start()
        assert heard.wait(30)
        took = serving.end()
        listener.join(timeout=10)
    assert took < 5
    assert serving.process.returncode == 0
