"""How large the web page is, how soon it shows, and how soon half a million points are drawn without a GPU.

    python benchmarks/speed/page.py --repeats 5 --json benchmarks/results/page.json

Starts ``reconflow serve`` in a process of its own with one finished job of made-up points, and opens the page in
Chromium with a software renderer, a fresh profile each time. First view is from the request to the sign-in form; the
points count from their last byte to the last pixel. Build the page first (``make ui``).
"""

import argparse
import gzip
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from schema import write_result
from speed_schema import Page

from reconflow.core.drift import DriftReport
from reconflow.core.models import Model
from reconflow.core.viewer_clouds import encode_viewer_cloud
from reconflow.jobs.files import DataFolder
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.results import ClusterEntry
from webapp.page import FOLDER

PASSWORD = "for this benchmark only"
NAME = "cluster0_model0"
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
FIRST_DRAWN = """async (count) => {
    const arrived = () => document.querySelector(".scene-stage")?.dataset.points === String(count);
    while (!arrived()) await new Promise(requestAnimationFrame);
    const gl = document.querySelector(".scene-canvas").getContext("webgl2");
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits until all is drawn
    return performance.now() - performance.getEntriesByName("cloud-downloaded")[0].startTime;
}"""
TURNING = """async () => {
    const canvas = document.querySelector(".scene-canvas");
    canvas.focus();
    let frames = 0;
    const begun = performance.now();
    while (performance.now() - begun < 3000) {
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
        await new Promise(requestAnimationFrame);
        frames += 1;
    }
    return (1000 * frames) / (performance.now() - begun);
}"""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = this_machine()
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "reconflow.cli", "serve", "--port", "0", "--workers", "1", "--data-dir", data]
        environment = os.environ | {"RECONFLOW_ADMIN_PASSWORD": PASSWORD}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                url = _url(process)
                job_id = _finished_job(Path(data), arguments.points)
                first_view, drawn, frames = _look(url, job_id, arguments)
            finally:
                process.terminate()
    result = Page(
        machine=machine,
        repeats=arguments.repeats,
        points=arguments.points,
        bundle_gzip_kb=_sizes(),
        first_view_ms=statistics.median(first_view),
        points_drawn_ms=statistics.median(drawn),
        turning_fps=statistics.median(frames),
    )
    print(msgspec.json.format(msgspec.json.encode(result), indent=1).decode())
    if arguments.json:
        write_result(result, arguments.json)


def _sizes() -> dict[str, float]:
    """Return the gzipped kilobytes of the page by kind of file."""
    sizes: dict[str, float] = {}
    for path in sorted(FOLDER.rglob("*.*")):
        kind = path.suffix.lstrip(".")
        sizes[kind] = sizes.get(kind, 0.0) + len(gzip.compress(path.read_bytes(), mtime=0)) / 1000
    return {kind: round(size, 1) for kind, size in sizes.items()}


def _url(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"Web service: (http://\S+)", line):
            return found.group(1)
    raise SystemExit("the service did not start")


def _finished_job(data: Path, points: int) -> str:
    """Write what the page asks for of a job of points on a sphere, and its row."""
    job_id = str(uuid.uuid4())
    folder = DataFolder(data, min_free_bytes=0).result(job_id)
    (folder / "clouds").mkdir(parents=True)
    (folder / "clouds" / f"{NAME}.bin").write_bytes(encode_viewer_cloud(_sphere(points)))
    files: dict[str, Any] = {
        "clusters": [ClusterEntry(id=0, name=NAME, num_points3D=points, filename="")],
        "cameras": {NAME: {"up": [0, -1, 0], "cameras": {}, "images": {}}},
        "images": [],
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(content))
    job = Job(
        job_id=job_id, owner_id="somebody", dataset_name="sphere", scene_name="made", stage="success", progress=100,
        created_at=time.time(), started_at=time.time(), finished_at=time.time(), n_points=points, options={},
        drift=DriftReport(),
    )  # fmt: skip
    with Ledger.open(f"sqlite:///{data}/reconflow.db") as ledger:
        ledger.add_job(job)
    return job_id


def _sphere(points: int) -> Model:
    rng = np.random.default_rng(0)
    place = rng.normal(size=(points, 3))
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    return Model(
        name=NAME,
        images={},
        cameras={},
        points=place,
        colors=(127.5 * (place + 1)).astype(np.uint8),
        errors_px=rng.uniform(0.1, 2, points).astype(np.float32),
        track_lengths=rng.integers(2, 12, points).astype(np.int32),
    )


def _look(url: str, job_id: str, arguments: argparse.Namespace) -> tuple[list[float], list[float], list[float]]:
    """Open the page again and again; the first time warms up and is not counted."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    first_view: list[float] = []
    drawn: list[float] = []
    frames: list[float] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        for turn in range(arguments.repeats + 1):
            context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 860})
            page = context.new_page()
            begun = time.perf_counter()
            page.goto(f"/#/jobs/{job_id}/scene")
            page.get_by_label("Password").wait_for()
            seen = 1000 * (time.perf_counter() - begun)
            page.get_by_label("Name").fill("admin")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            took = page.evaluate(FIRST_DRAWN, arguments.points)
            rate = page.evaluate(TURNING)
            if turn:
                first_view.append(seen)
                drawn.append(took)
                frames.append(rate)
            context.close()
        browser.close()
    return first_view, drawn, frames


if __name__ == "__main__":
    main()
