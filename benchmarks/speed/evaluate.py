"""Time of the IMC2025 score against an independent implementation of the same metric.

    python benchmarks/speed/evaluate.py --reference imc2025_score.py [--json result.json]

The reference is any file with ``register(submitted_centres, true_centres, thresholds) -> (errors, models)``, errors
(N, thresholds). Both sides align the same random scenes, alternating, and must count the same cameras. Times are
CPU seconds of one process; set ``OMP_NUM_THREADS=1`` to compare single cores. Without a reference only ours is timed.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from quality_schema import Scoring, ScoringRow
from schema import write_result

from reconflow.evaluation.consensus import register_centers

SHARES = np.array([0.001, 0.002, 0.005, 0.01, 0.025, 0.05])
CASES = {
    "good": (0.001, 0.05),
    "usual": (0.01, 0.2),
    "useless": (0.0, 1.0),
}
"""Noise as a share of the extent, and the share of cameras at random places."""


def make_centers(count: int, noise: float, lost: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return submitted centres, true centres and thresholds."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(count, 3)) * [5.0, 5.0, 1.0]
    extent = float(np.sqrt(((truth - truth.mean(0)) ** 2).sum(1).mean()))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    submitted = truth + noise * extent * rng.normal(size=truth.shape)
    astray = rng.random(count) < lost
    submitted[astray] = rng.normal(size=(int(astray.sum()), 3)) * extent
    return 0.3 * submitted @ turn + 7.0, truth, SHARES * extent


def cpu_seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    """Run once and return CPU seconds and the result."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def load(path: Path) -> Any:
    """Import the reference from its file."""
    spec = importlib.util.spec_from_file_location("reference", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(count: int, case: str, rounds: int, reference: Any) -> ScoringRow:
    """Time one size, both sides alternating; ``reference`` may be None."""
    submitted, truth, thresholds = make_centers(count, *CASES[case], seed=count)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        seconds, found = cpu_seconds(lambda: register_centers(submitted, truth, thresholds.tolist()))
        ours.append(seconds)
        correct = (found.errors < thresholds).sum(0).tolist()
        if reference is not None:
            seconds, (errors, _) = cpu_seconds(lambda: reference.register(submitted, truth, thresholds))
            theirs.append(seconds)
            if (errors < thresholds).sum(0).tolist() != correct:
                raise SystemExit(f"{count} images, {case}: both sides count different cameras")
    mine, other = statistics.median(ours), statistics.median(theirs) if theirs else None
    return ScoringRow(
        images=count, case=case, rounds=rounds, ours_s=mine, reference_s=other, ratio=other / mine if other else None
    )


def show(rows: list[ScoringRow]) -> Table:
    """Return the results as a table."""
    table = Table(title="CPU seconds to align one scene")
    for name in ("images", "case", "ours", "reference", "reference / ours"):
        table.add_column(name, justify="right")
    for row in rows:
        other = ("–", "–") if row.reference_s is None else (f"{row.reference_s:.3f}", f"{row.ratio:.1f} ×")
        table.add_row(str(row.images), row.case, f"{row.ours_s:.3f}", *other)
    return table


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="file of the other implementation")
    parser.add_argument("--sizes", type=int, nargs="*", default=[20, 50, 100], help="images timed on both sides")
    parser.add_argument("--alone", type=int, nargs="*", default=[200], help="images timed on our side only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the results there")
    arguments = parser.parse_args()
    machine = this_machine()
    reference = None if arguments.reference is None else load(arguments.reference)
    register_centers(*make_centers(10, 0.01, 0.1, seed=0)[:2], [0.1, 0.2, 0.3])  # warm up
    rows = [measure(n, case, arguments.rounds, reference) for n in arguments.sizes for case in CASES]
    rows += [measure(n, case, 1 if n > 150 else arguments.rounds, None) for n in arguments.alone for case in CASES]
    Console().print(show(rows))
    if arguments.json is not None:
        write_result(Scoring(machine=machine, rows=rows), arguments.json)


if __name__ == "__main__":
    main()
