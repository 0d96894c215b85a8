"""Planning a run of many photos: what the client does between stages, from records and stored keys to tasks.

    python benchmarks/speed/planning.py --photos 10000 --repeats 3 --json benchmarks/results/planning.json

Whole processes, imports included. The photos are made up: a walk with positions and times, forty partners by
appearance for each. Exits with 1 when planning takes more than ``--limit-s`` CPU seconds (imports and the making of the
photos left out) or the process more than ``--limit-mb``.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import measure, this_machine
from readings import Reading
from schema import write_result
from speed_schema import Planning

from reconflow.config import PipelineConfig
from reconflow.core.images import Exif, ImageRecord
from reconflow.core.scenes import Scene
from reconflow.pipeline.plan import plan_extract, plan_ingest, plan_mapping, plan_matches, view_keys
from reconflow.pipeline.work_items import TileImage
from reconflow.stages.cameras import assign_cameras
from reconflow.stages.shortlist import shortlist_pairs
from reconflow.store.geometries import StoredPair
from reconflow.store.packs import ItemRef

SLOTS = 16
"""Worker threads to plan for."""


def main() -> int:
    """Measure and print, or plan once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=5.0)
    parser.add_argument("--limit-mb", type=float, default=300.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--once", type=Path, metavar="FACTS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once is not None:
        arguments.once.write_text(json.dumps(plan_once(arguments.photos, seed=arguments.seed)), encoding="utf-8")
        return 0
    result = repeated(arguments)
    planning_s = sum(result.stages_s.values())
    peak_mb = max(reading.peak_tree_mb for reading in result.readings)
    for step, seconds in result.stages_s.items():
        print(f"{step:24s} {seconds:7.3f} CPU-s")
    print(f"{result.photos} photos, {result.pairs} pairs, {sum(result.tasks.values())} tasks")
    print(f"planning {planning_s:.2f} CPU-s (limit {arguments.limit_s:g}), peak {peak_mb:.0f} MB")
    if arguments.json:
        write_result(result, arguments.json)
    return int(planning_s > arguments.limit_s or peak_mb > arguments.limit_mb)


def repeated(arguments: argparse.Namespace) -> Planning:
    """Plan in fresh processes and fold what they took."""
    machine = this_machine()
    readings: list[Reading] = []
    steps: list[dict[str, float]] = []
    facts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "facts.json"
        command = [sys.executable, __file__, "--photos", str(arguments.photos), "--seed", str(arguments.seed)]
        for _ in range(arguments.repeats):
            readings.append(measure([*command, "--once", str(made)], log=Path(scratch) / "log"))
            if readings[-1].exit_code:
                raise SystemExit((Path(scratch) / "log").read_text())
            facts = json.loads(made.read_text())
            steps.append(facts["stages_s"])
    return Planning(
        machine=machine,
        seed=arguments.seed,
        photos=arguments.photos,
        pairs=facts["tasks"].pop("pairs"),
        tasks=facts["tasks"],
        readings=readings,
        stages_s={step: statistics.median(taken[step] for taken in steps) for step in steps[0]},
    )


def plan_once(photos: int, *, seed: int) -> dict[str, dict[str, float]]:
    """Plan every stage of a fresh run, then the matches of one where all are stored; return CPU seconds and counts."""
    config = PipelineConfig()
    records, retrieved = walk(photos, seed=seed)
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        started = time.process_time()
        yield
        seconds[step] = time.process_time() - started

    with timed("ingest"):
        ingest = plan_ingest([(record.name, PurePath(record.name)) for record in records], slots=SLOTS)
    with timed("extract"):
        extract = plan_extract(
            records, extractor="sift", stored={}, at_most=config.execution.images_per_extract_task, slots=SLOTS
        )
    with timed("shortlist"):
        pairs = shortlist_pairs(records, retrieved=retrieved, config=config.shortlist)
    with timed("cameras and keys"):
        rig = assign_cameras(records, config=config.ingest)
        images = [TileImage(r.name, (ItemRef("pack", i),), rig.camera(r.name)) for i, r in enumerate(records)]
        keys = view_keys(records, rig)
    options = {"images": images, "keys": keys, "images_per_side": config.execution.images_per_tile, "slots": SLOTS}
    with timed("match"):
        match = plan_matches(pairs, stored={}, **options)
    found = [(task, pair) for task in match for pair in task.pairs]
    verified = StoredPair(ItemRef("pack", 0), 100, 60, "CALIBRATED", True, "")
    with timed("match, all stored"):
        again = plan_matches(pairs, stored={pair.key: verified for _, pair in found}, **options)
    assert not again
    joined = [(t.images[p.first].name, t.images[p.second].name, verified.ref, p.key) for t, p in found]
    with timed("map"):
        mapping = plan_mapping(
            [Scene(id=0, images=tuple(record.name for record in records))],
            images={image.name: image for image in images},
            camera_of=rig.camera_of,
            pairs=joined,
            namespace="planning",
            made_with="planning",
            config=config.reconstruct,
            threads=SLOTS,
            folder=PurePath("models"),
        )
    counts = {"ingest": len(ingest), "extract": len(extract), "match": len(match), "map": len(mapping)}
    return {"stages_s": seconds, "tasks": {"pairs": len(pairs), **counts}}


def walk(photos: int, *, seed: int) -> tuple[list[ImageRecord], list[list[int]]]:
    """Return made-up records along a walk, and for each the forty that look most like it: near ones, shuffled."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal(scale=1e-5, size=(photos, 2)), axis=0)
    records = [
        ImageRecord(
            name=f"{i:06d}.jpg",
            path=f"{i:06d}.jpg",
            sha256=rng.bytes(32).hex(),
            width=4000,
            height=3000,
            exif=Exif(
                make="Lumen",
                model=f"Model {i % 7}",
                focal_mm=24.0,
                taken_at=f"2024:05:{1 + i // 86_400:02d} {i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}",
                latitude_deg=46.0 + float(steps[i, 0]),
                longitude_deg=8.0 + float(steps[i, 1]),
            ),
        )
        for i in range(photos)
    ]
    near = [[j for j in range(max(0, i - 30), min(photos, i + 31)) if j != i] for i in range(photos)]
    return records, [[row[k] for k in rng.permutation(len(row))[:40]] for row in near]


if __name__ == "__main__":
    sys.exit(main())
