"""Whole runs as processes of their own, and what they came to."""

import json
import shutil
from pathlib import Path

from measure import measure
from readings import Outcome, Reading

from reconflow.evaluation.files import evaluate_files


def finished(command: list[str], made: Path) -> Reading:
    """Measure a command that makes the file ``made``. To find no model is a result, exit code 1; a crash is none."""
    shutil.rmtree(made.parent, ignore_errors=True)
    log = made.parent.with_suffix(".log")
    reading = measure(command, log=log)
    if reading.exit_code not in (0, 1) or not made.exists():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SystemExit(f"{' '.join(command)}\nended with {reading.exit_code}:\n{tail}")
    return reading


def our_outcome(path: Path, out: Path, readings: list[Reading]) -> Outcome:
    """Return what the last of our runs into ``out`` came to."""
    report = json.loads((out / "report.json").read_text())
    return outcome(path, out, readings, report["n_registered"], report["n_images"], report["timings_s"])


def outcome(
    path: Path, out: Path, readings: list[Reading], registered: int, images: int, stages_s: dict[str, float]
) -> Outcome:
    """Return what a run came to, scored where truth is known."""
    scores: dict[str, float] = {}
    strays = None
    if (path / "truth.csv").exists():
        for name in ("official", "strict"):
            score = evaluate_files(path / "truth.csv", out / "submission.csv", thresholds=name)
            scores[name] = 100 * score.final
            strays = sum(dataset.outliers_in_a_cluster for dataset in score.datasets)
    return Outcome(
        registered=registered,
        images=images,
        outliers_in_a_scene=strays,
        official=scores.get("official"),
        strict=scores.get("strict"),
        readings=readings,
        stages_s={stage: round(seconds, 3) for stage, seconds in stages_s.items()},
    )
