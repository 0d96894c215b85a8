"""reconflow and plain pycolmap on folders of photos with ground truth, in turn, as whole processes.

    evaluate.py DATA/dev/fountain DATA/dev/herzjesu … --repeats 3 --json results/small.json

A set is a folder with ``images/`` and, where truth is known, ``truth.csv``, ``thresholds.csv`` and
``thresholds_strict.csv``. Both sides run A B A B … with nothing kept between runs; the ratio is the median of ratios
pair by pair. The peer runs with ``min_model_size`` 3 for the times; with ``--peer-defaults`` also once with its default
of 10, for the score.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import measure, median_ratio, this_machine
from schema import Outcome, Quality, Reading, SetResult, write_result

from reconflow.evaluation.files import evaluate_files

PEER = Path(__file__).with_name("peer_colmap.py")
SEEDS = {"reconflow": "0 in every stage, unless set otherwise", "pycolmap": "its defaults"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--peer-defaults", action="store_true")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="SECTION.OPTION=VALUE")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = this_machine()
    found: list[SetResult] = []
    for path in arguments.sets:
        with tempfile.TemporaryDirectory() as scratch:
            found.append(_run_set(path, Path(scratch), arguments))
        print(_line(found[-1]), flush=True)
        if arguments.json:
            write_result(Quality(machine=machine, arguments=_told(arguments), seeds=SEEDS, sets=found), arguments.json)


def _told(arguments: argparse.Namespace) -> list[str]:
    told = [path.name for path in arguments.sets] + ["--repeats", str(arguments.repeats)]
    told += ["--skip-peer"] * arguments.skip_peer + ["--peer-defaults"] * arguments.peer_defaults
    return told + [part for text in arguments.overrides for part in ("--set", text)]


def _run_set(path: Path, scratch: Path, arguments: argparse.Namespace) -> SetResult:
    ours, theirs = scratch / "reconflow", scratch / "peer"
    mine: list[Reading] = []
    peers: list[Reading] = []
    command = [sys.executable, "-m", "reconflow.cli", "run", str(path / "images"), "--dataset", path.name]
    command += [part for text in arguments.overrides for part in ("--set", text)]
    for _ in range(arguments.repeats):
        mine.append(_finished([*command, "--out", str(ours)], ours / "report.json"))
        if not arguments.skip_peer:
            peers.append(_finished(_peer_command(path, theirs, 3), theirs / "facts.json"))
    defaults = None
    if arguments.peer_defaults:
        reading = _finished(_peer_command(path, scratch / "peer10", 10), scratch / "peer10" / "facts.json")
        defaults = _peer_outcome(path, scratch / "peer10", [reading])
    return SetResult(
        name=path.name,
        reconflow=_our_outcome(path, ours, mine),
        peer=_peer_outcome(path, theirs, peers) if peers else None,
        peer_defaults=defaults,
        wall_ratio=median_ratio(mine, peers, "wall_s"),
        cpu_ratio=median_ratio(mine, peers, "cpu_s"),
    )


def _finished(command: list[str], made: Path) -> Reading:
    """Measure a command that makes the file ``made``. To find no model is a result, exit code 1; a crash is none."""
    shutil.rmtree(made.parent, ignore_errors=True)
    log = made.parent.with_suffix(".log")
    reading = measure(command, log=log)
    if reading.exit_code not in (0, 1) or not made.exists():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SystemExit(f"{' '.join(command)}\nended with {reading.exit_code}:\n{tail}")
    return reading


def _peer_command(path: Path, out: Path, size: int) -> list[str]:
    options = ["--out", str(out), "--dataset", path.name, "--min-model-size", str(size)]
    return [sys.executable, str(PEER), str(path / "images"), *options]


def _our_outcome(path: Path, out: Path, readings: list[Reading]) -> Outcome:
    report = json.loads((out / "report.json").read_text())
    return _outcome(path, out, readings, report["n_registered"], report["n_images"], report["timings_s"])


def _peer_outcome(path: Path, out: Path, readings: list[Reading]) -> Outcome:
    facts = json.loads((out / "facts.json").read_text())
    return _outcome(path, out, readings, facts["registered"], facts["images"], facts["stages_s"])


def _outcome(
    path: Path, out: Path, readings: list[Reading], registered: int, images: int, stages_s: dict[str, float]
) -> Outcome:
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


def _line(result: SetResult) -> str:
    sides = {"reconflow": result.reconflow, "pycolmap (3)": result.peer, "pycolmap (10)": result.peer_defaults}
    lines = [result.name]
    for side, outcome in sides.items():
        if outcome is not None:
            wall = statistics.median(reading.wall_s for reading in outcome.readings)
            peak = max(reading.peak_process_mb for reading in outcome.readings)
            score = "" if outcome.official is None else f" {outcome.official:6.2f} / {outcome.strict:6.2f}"
            strays = "" if outcome.outliers_in_a_scene is None else f" strays {outcome.outliers_in_a_scene}"
            count = f"{outcome.registered}/{outcome.images}"
            lines.append(f"  {side:<14} {count:>8}{score}{strays}  {wall:7.1f} s  {peak:6.0f} MB  {outcome.stages_s}")
    if result.wall_ratio is not None:
        lines.append(f"  ratio of wall times {result.wall_ratio:.2f}, of CPU times {result.cpu_ratio:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
