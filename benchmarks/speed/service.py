"""How quickly the service answers while a job runs on the same cores, and how flat its memory stays under uploads.

    service.py PHOTOS [--rate 200] [--seconds 30] [--upload-mb 1000]

Starts ``reconflow serve`` in a process of its own, uploads the folder PHOTOS as a job, and asks ``/health`` and
``/jobs/{id}`` in turn at a fixed rate from this process, whether or not earlier answers have come (open loop). Then
uploads a ZIP of the given size, which is refused for holding no photo, and reads the web process's memory meanwhile.
"""

import argparse
import asyncio
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil

import reconflow as rf

PASSWORD = "for this benchmark only"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--upload-mb", type=int, default=1000)
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "reconflow.cli", "serve", "--port", str(port), "--data-dir", data]
        environment = os.environ | {"RECONFLOW_ADMIN_PASSWORD": PASSWORD}
        with subprocess.Popen(command, env=environment) as process:
            try:
                _measure(url, process.pid, arguments)
            finally:
                process.terminate()


def _measure(url: str, pid: int, arguments: argparse.Namespace) -> None:
    while not _answers(f"{url}/ready"):
        time.sleep(0.2)
    with rf.Client(url, username="admin", password=PASSWORD) as client:
        job_id = client.upload(arguments.photos)
        while client.job(job_id)["stage"] in ("queued", "extracting"):
            time.sleep(0.1)
        headers = dict(client._http.headers)
        took = asyncio.run(_ask(url, headers, ("/health", f"/jobs/{job_id}"), arguments.rate, arguments.seconds))
        stage = client.job(job_id)["stage"]
        print(f"{arguments.rate} requests/s for {arguments.seconds:g} s while a job runs (at the end: {stage})")
        for path, times in took.items():
            name = path.replace(job_id, "{id}")
            ordered = sorted(times)
            p99 = ordered[int(0.99 * len(ordered))]
            middle, longest = 1e3 * statistics.median(times), 1e3 * ordered[-1]
            print(f"  {name:<14} median {middle:6.1f} ms   p99 {1e3 * p99:6.1f} ms   max {longest:6.1f} ms")
        if stage not in ("success", "failed"):
            client.cancel(job_id)
        before, most = asyncio.run(_upload(url, headers, pid, arguments.upload_mb))
        print(f"upload of {arguments.upload_mb} MB: web process {before:.0f} MB before, {most:.0f} MB at most")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


async def _ask(
    url: str, headers: dict[str, str], paths: tuple[str, ...], rate: int, seconds: float
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {path: [] for path in paths}

    async def once(client: httpx.AsyncClient, path: str) -> None:
        started = time.perf_counter()
        (await client.get(path)).raise_for_status()
        took[path].append(time.perf_counter() - started)

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        began = time.perf_counter()
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(once(client, paths[number % len(paths)])))
        await asyncio.gather(*tasks)
    return took


async def _upload(url: str, headers: dict[str, str], pid: int, megabytes: int) -> tuple[float, float]:
    process = psutil.Process(pid)
    before = process.memory_info().rss / 1e6
    most = before
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("notes.txt", "no photo")
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        nonlocal most
        yield head
        block = bytes(1 << 20)
        for _ in range(megabytes):
            most = max(most, process.memory_info().rss / 1e6)
            yield block
        yield content.getvalue() + b"\r\n--b--\r\n"

    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await client.post("/upload", content=body(), headers=headers | kind)
    print(f"the upload was answered with {answer.status_code}: {answer.json()['detail']}")
    return before, max(most, process.memory_info().rss / 1e6)


if __name__ == "__main__":
    main()
