"""The log of ``reconflow serve`` as an operator collects it: JSON lines with ids, and none of the secrets sent."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import httpx
import numpy as np
import pytest
from PIL import Image

import reconflow as rf
from reconflow.errors import ReconflowError

SETTINGS = {
    "RECONFLOW_LOG_FORMAT": "json",
    "RECONFLOW_ADMIN_PASSWORD": "Adm1n-Pass-word",
    "RECONFLOW_JWT_SECRET": "Jwt-Secret-of-thirty-two-bytes-and-more",
    "RECONFLOW_WEBHOOK_SECRET": "Webh00k-Secret-0f-0urs",
    "RECONFLOW_MIN_FREE_BYTES": "1000000",
    "AIRFLOW_URL": "http://127.0.0.1:9",
    "AIRFLOW_USERNAME": "flow",
    "AIRFLOW_PASSWORD": "Airfl0w-Pass-word",
}


@pytest.fixture
def serving(tmp_path):
    """A service with secrets in its settings: its address, and the file its log goes to."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECONFLOW_")}
    command = [sys.executable, "-m", "reconflow.cli", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--workers", "1"],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment | SETTINGS,
        )  # fmt: skip
    url = re.search(r"http://\S+", process.stdout.readline()).group()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/ready").status_code == 200:
                break
        time.sleep(0.2)
    yield url, log, process
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_lines_are_json_with_ids_and_hold_no_secret(serving, tmp_path):
    url, log, process = serving
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (96, 128, 3), np.uint8)).save(photos / f"{i}.png")
    secrets = [SETTINGS[name] for name in SETTINGS if name.endswith(("PASSWORD", "SECRET"))]
    login = {"username": "admin", "password": SETTINGS["RECONFLOW_ADMIN_PASSWORD"]}
    with httpx.Client(base_url=url, timeout=60) as http:
        pair = http.post("/auth/token", json=login).json()
        http.post("/auth/token", json=login | {"password": "Wr0ng-Pass-word"})
        http.headers["Authorization"] = f"Bearer {pair['access_token']}"
        key = http.post("/auth/keys", json={"label": "k"}).json()["key"]
        http.post("/users", json={"username": "anna", "password": "Anna-Pass-word"})
        http.post("/users", json={"username": "anna", "password": "Anna-Pass-word"})
        http.post("/drift/trigger-retrain")
        http.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        http.get("/jobs", params={"cursor": "Cursor-Secret"})
        secrets += [*pair["access_token"].split(".")[1:], pair["refresh_token"], key]
        secrets += ["Wr0ng-Pass-word", "Anna-Pass-word"]
        hook = "http://127.0.0.1:9/hook?token=Hook-Token"
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            for path in photos.iterdir():
                archive.write(path, path.name)
        with (tmp_path / "p.zip").open("rb") as file:
            job_id = http.post("/upload", files={"file": file}, data={"webhook_url": hook}).json()["job_id"]
        while http.get(f"/jobs/{job_id}").json()["finished_at"] is None:
            time.sleep(0.2)
        link = http.post(f"/jobs/{job_id}/links").json()["link"]
        http.get(f"/download/jobs/{job_id}", params={"link": link})
        secrets += ["Cursor-Secret", "Hook-Token", link]
        with contextlib.suppress(ReconflowError), rf.Client(url, api_key=key) as client:
            client.upload(photos, resumable=True)
        time.sleep(3)  # the webhook is tried, and refused
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [secret for secret in secrets if secret in text] == []
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    access = [line for line in lines if line["logger"] == "reconflow.access"]
    assert len({line["request_id"] for line in access}) == len(access) > 10
    assert ("POST", "/upload", 202) in {(line["method"], line["route"], line["status"]) for line in access}
    runner = [line for line in lines if line["logger"] == "reconflow.jobs.runner" and job_id in line["message"]]
    assert {line["job_id"] for line in runner} == {job_id}
    assert len(runner) >= 2
