"""reconflow and plain pycolmap on folders of photos with ground truth, in turn, as whole processes.

    evaluate.py DATA/dev/fountain DATA/dev/herzjesu … --repeats 3 --json results/small.json

A set is a folder with ``images/`` and, where truth is known, ``truth.csv``, ``thresholds.csv`` and
``thresholds_strict.csv``. Both sides run A B A B … with nothing kept between runs; the ratio is the median of ratios
pair by pair. The peer runs with ``min_model_size`` 3 for the times; with ``--peer-defaults`` also once with its default
of 10, for the score.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import median_ratio, this_machine
from outcomes import finished, our_outcome, outcome
from quality_schema import Quality, SetResult
from readings import Outcome, Reading
from schema import write_result

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
        mine.append(finished([*command, "--out", str(ours)], ours / "report.json"))
        if not arguments.skip_peer:
            peers.append(finished(_peer_command(path, theirs, 3), theirs / "facts.json"))
    defaults = None
    if arguments.peer_defaults:
        reading = finished(_peer_command(path, scratch / "peer10", 10), scratch / "peer10" / "facts.json")
        defaults = _peer_outcome(path, scratch / "peer10", [reading])
    return SetResult(
        name=path.name,
        reconflow=our_outcome(path, ours, mine),
        peer=_peer_outcome(path, theirs, peers) if peers else None,
        peer_defaults=defaults,
        wall_ratio=median_ratio(mine, peers, "wall_s"),
        cpu_ratio=median_ratio(mine, peers, "cpu_s"),
    )


def _peer_command(path: Path, out: Path, size: int) -> list[str]:
    options = ["--out", str(out), "--dataset", path.name, "--min-model-size", str(size)]
    return [sys.executable, str(PEER), str(path / "images"), *options]


def _peer_outcome(path: Path, out: Path, readings: list[Reading]) -> Outcome:
    facts = json.loads((out / "facts.json").read_text())
    return outcome(path, out, readings, facts["registered"], facts["images"], facts["stages_s"])


def _line(result: SetResult) -> str:
    sides = {"reconflow": result.reconflow, "pycolmap (3)": result.peer, "pycolmap (10)": result.peer_defaults}
    lines = [result.name]
    for side, found in sides.items():
        if found is not None:
            wall = statistics.median(reading.wall_s for reading in found.readings)
            peak = max(reading.peak_process_mb for reading in found.readings)
            score = "" if found.official is None else f" {found.official:6.2f} / {found.strict:6.2f}"
            strays = "" if found.outliers_in_a_scene is None else f" strays {found.outliers_in_a_scene}"
            count = f"{found.registered}/{found.images}"
            lines.append(f"  {side:<14} {count:>8}{score}{strays}  {wall:7.1f} s  {peak:6.0f} MB  {found.stages_s}")
    if result.wall_ratio is not None:
        lines.append(f"  ratio of wall times {result.wall_ratio:.2f}, of CPU times {result.cpu_ratio:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
