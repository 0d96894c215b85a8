"""How quickly the service answers while a job runs on the same cores, and how flat its memory stays under uploads.

    python benchmarks/speed/service.py PHOTOS --json benchmarks/results/service.json

Starts ``reconflow serve`` in a process of its own on a ledger with 10 000 ended jobs, and uploads the folder PHOTOS.
While that job runs it asks, from this process, ``/health`` and ``/jobs/{id}`` in turn at a fixed rate, whether or not
earlier answers have come (open loop), and listens to the job's events, which tell when they were written. Then it lists
jobs, and uploads a ZIP of the given size, which is refused for holding no photo, and reads the web process's memory.
"""

import argparse
import asyncio
import gc
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import msgspec
import psutil
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from schema import write_result
from speed_schema import Answers, Service

from reconflow.core.drift import DriftReport
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.tables import jobs

PASSWORD = "for this benchmark only"
OLD_JOBS = 10_000
LISTINGS = 200


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--upload-mb", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = this_machine()
    with tempfile.TemporaryDirectory() as data:
        _fill_ledger(f"sqlite:///{data}/reconflow.db")
        command = [sys.executable, "-m", "reconflow.cli", "serve", "--port", "0", "--data-dir", data]
        environment = os.environ | {"RECONFLOW_ADMIN_PASSWORD": PASSWORD}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                url = _url(process)
                gc.freeze()  # this process's own search for garbage would count as a late answer
                answers, memory = asyncio.run(_measure(url, process.pid, arguments))
            finally:
                process.terminate()
    result = Service(
        machine=machine,
        photos=arguments.photos.resolve().parent.name,
        rate=arguments.rate,
        seconds=arguments.seconds,
        old_jobs=OLD_JOBS,
        answers=answers,
        upload_mb=arguments.upload_mb,
        web_process_mb_before=memory[0],
        web_process_mb_most=memory[1],
    )
    print(msgspec.json.format(msgspec.json.encode(result), indent=1).decode())
    if arguments.json:
        write_result(result, arguments.json)


def _fill_ledger(url: str) -> None:
    rows = []
    for number in range(OLD_JOBS):
        job = Job(
            job_id=str(uuid.uuid4()), owner_id=f"user{number % 7}", dataset_name=f"set{number % 5}", scene_name="s",
            stage="success", progress=100, created_at=float(number), finished_at=float(number), options={},
            drift=DriftReport(),
        )  # fmt: skip
        rows.append(msgspec.to_builtins(job) | {"queued_at": float(number), "webhook_tries": 0})
    with Ledger.open(url) as ledger, ledger.engine.begin() as connection:
        connection.execute(insert(jobs), rows)


def _url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"Web service: (http://\S+)", line):
            return found.group(1)
    raise SystemExit("the service did not start")


async def _measure(url: str, pid: int, arguments: argparse.Namespace) -> tuple[dict[str, Answers], tuple[float, float]]:
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        while not (await client.get("/ready")).is_success:
            await asyncio.sleep(0.2)
        login = {"username": "admin", "password": PASSWORD}
        token = (await client.post("/auth/token", json=login)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        answer = await client.post("/upload", files={"file": ("photos.zip", _zipped(arguments.photos))})
        job_id = answer.raise_for_status().json()["job_id"]
        listener = asyncio.create_task(_listen(client, job_id))
        while (await client.get(f"/jobs/{job_id}")).json()["stage"] in ("queued", "extracting"):
            await asyncio.sleep(0.1)
        took = await _ask(client, ("/health", f"/jobs/{job_id}"), arguments.rate, arguments.seconds)
        took["GET /jobs?limit=50"] = [await _once(client, "/jobs?limit=50") for _ in range(LISTINGS)]
        stage = (await client.get(f"/jobs/{job_id}")).json()["stage"]
        if stage in ("success", "failed"):
            print(f"the job ended meanwhile ({stage}): use more photos", file=sys.stderr)
        else:
            await client.post(f"/jobs/{job_id}/cancel")
        took["event, from ledger to listener"] = await listener
        memory = await _upload(client, pid, arguments.upload_mb)
    return {name.replace(job_id, "{id}"): _summary(times) for name, times in took.items()}, memory


def _zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return content.getvalue()


def _summary(times: Sequence[float]) -> Answers:
    ordered = sorted(times)
    return Answers(
        count=len(ordered),
        median_ms=1e3 * statistics.median(ordered),
        p99_ms=1e3 * ordered[int(0.99 * len(ordered))],
        longest_ms=1e3 * ordered[-1],
    )


async def _once(client: httpx.AsyncClient, path: str) -> float:
    started = time.perf_counter()
    (await client.get(path)).raise_for_status()
    return time.perf_counter() - started


async def _ask(client: httpx.AsyncClient, paths: Sequence[str], rate: int, seconds: float) -> dict[str, list[float]]:
    began = time.perf_counter()
    tasks: list[asyncio.Task[float]] = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_once(client, paths[number % len(paths)])))
    times = await asyncio.gather(*tasks)
    return {f"GET {path}": times[place :: len(paths)] for place, path in enumerate(paths)}


async def _listen(client: httpx.AsyncClient, job_id: str) -> list[float]:
    """Return how long after its time each event came."""
    late: list[float] = []
    headers = {"Accept": "text/event-stream"}
    async with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                event = msgspec.json.decode(line.removeprefix("data:"))
                if "at" in event:
                    late.append(time.time() - event["at"])
    return late[1:]  # the first was written before anybody could listen


async def _upload(client: httpx.AsyncClient, pid: int, megabytes: int) -> tuple[float, float]:
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

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post("/upload", content=body(), headers=kind)
    print(f"the upload was answered with {answer.status_code}: {answer.json()['detail']}", file=sys.stderr)
    return before, max(most, process.memory_info().rss / 1e6)


if __name__ == "__main__":
    main()
