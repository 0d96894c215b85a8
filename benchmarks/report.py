"""Write ``RESULTS.md`` from ``results/*.json``: every figure published is one that was measured, losses beside wins.

python benchmarks/report.py            # write it
python benchmarks/report.py --check    # exit with 1 where it is not what the measurements say
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from schema import (
    Batches,
    Combinations,
    Dense,
    DenseSide,
    LeanAlikedResult,
    Machine,
    Matching,
    Outcome,
    Page,
    Pairs,
    Planning,
    Quality,
    Reading,
    Result,
    Scoring,
    Service,
    SetResult,
    Workers,
    read_result,
)

HERE = Path(__file__).parent
OUT = HERE / "RESULTS.md"
NONE = "–"
_HEAD = """\
# Results

Written by `python benchmarks/report.py` from [`results/`](results); [README.md](README.md) says how it was measured.
"""
_WORTH_TELLING = 1.005
"""Time ratios closer to one than this are a draw."""


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    results = {path.name: read_result(path) for path in sorted((HERE / "results").glob("*.json"))}
    text = page(results)
    if arguments.check:
        same = OUT.exists() and OUT.read_text(encoding="utf-8") == text
        print(
            "RESULTS.md is what the measurements say" if same else "RESULTS.md is out of date: run benchmarks/report.py"
        )
        return int(not same)
    OUT.write_text(text, encoding="utf-8")
    return 0


def page(results: dict[str, Result]) -> str:
    """Return the whole page; results by file name."""
    parts = [_HEAD]
    parts += [section(name, result) for name, result in results.items()]
    return "\n".join(parts) if results else _HEAD + "\nNothing is published yet.\n"


def section(name: str, result: Result) -> str:
    """Return the section of one file."""
    title, body = _KINDS[type(result)]
    return f"## {title}: [`{name}`](results/{name})\n\n{body(result)}"


def losses(sets: Sequence[SetResult]) -> list[str]:
    """Return one sentence for each figure in which the peer is ahead."""
    return [f"**{result.name}**: {sentence}" for result in sets for sentence in _behind(result)]


def _behind(result: SetResult) -> Iterator[str]:
    ours, peer = result.reconflow, result.peer
    for title, other in (("pycolmap", peer), ("pycolmap with its default of ten", result.peer_defaults)):
        if other is None:
            continue
        for metric, mine, theirs in (
            ("registers more photos", ours.registered, other.registered),
            ("scores higher (official)", ours.official, other.official),
            ("scores higher (strict)", ours.strict, other.strict),
        ):
            if mine is not None and theirs is not None and theirs - mine > 0.005:
                yield f"{title} {metric}: {_number(theirs)} against {_number(mine)}."
        fewer, more = other.outliers_in_a_scene, ours.outliers_in_a_scene
        if fewer is not None and more is not None and fewer < more:
            yield f"{title} puts fewer strays into a scene: {fewer} against {more}."
    if result.wall_ratio is not None and result.wall_ratio > _WORTH_TELLING:
        yield f"reconflow takes {result.wall_ratio:.2f} times as long."
    if result.cpu_ratio is not None and result.cpu_ratio > _WORTH_TELLING:
        yield f"reconflow takes {result.cpu_ratio:.2f} times the CPU time."
    if peer is not None and (share := _peak(ours.readings) / _peak(peer.readings)) > _WORTH_TELLING:
        yield f"reconflow's processes together take {share:.2f} times the memory."


def _quality(result: Quality) -> str:
    repeats = len(result.sets[0].reconflow.readings) if result.sets else 0
    sides = [
        (found, side, outcome)
        for found in result.sets
        for side, outcome in (
            ("reconflow", found.reconflow),
            ("pycolmap", found.peer),
            ("pycolmap, models of ten or more", found.peer_defaults),
        )
        if outcome is not None
    ]
    head = [
        "set",
        "side",
        "registered",
        "strays in a scene",
        "official",
        "strict",
        "wall",
        "CPU",
        "peak",
        "ratio wall, CPU",
    ]
    lines = [_side_line(found, side, outcome) for found, side, outcome in sides]
    stages = list(dict.fromkeys(stage for _, _, outcome in sides for stage in outcome.stages_s))
    times = [[found.name, side, *(_seconds(o.stages_s.get(stage)) for stage in stages)] for found, side, o in sides]
    behind = losses(result.sets)
    lost = "\n".join(f"- {line}" for line in behind) if behind else "Nothing in this file."
    return "\n".join(
        [
            _machine(result.machine) + f" Repeats: {repeats}. Scores in percent. Wall and CPU: medians; peak: all"
            " processes together; ratio: reconflow over pycolmap, median of the turns.",
            "",
            _table(head, lines),
            "### Where the peer is ahead\n",
            lost,
            "\n### Seconds by stage, last run\n",
            _table(["set", "side", *stages], times),
            f"Told: `{' '.join(result.arguments)}`\n",
        ]
    )


def _side_line(found: SetResult, side: str, outcome: Outcome) -> list[str]:
    ratio = ""
    if side == "reconflow" and found.wall_ratio is not None and found.cpu_ratio is not None:
        ratio = f"{found.wall_ratio:.2f}, {found.cpu_ratio:.2f}"
    return [
        found.name,
        side,
        f"{outcome.registered}/{outcome.images}",
        NONE if outcome.outliers_in_a_scene is None else str(outcome.outliers_in_a_scene),
        NONE if outcome.official is None else f"{outcome.official:.2f}",
        NONE if outcome.strict is None else f"{outcome.strict:.2f}",
        f"{statistics.median(reading.wall_s for reading in outcome.readings):.1f} s",
        f"{statistics.median(reading.cpu_s for reading in outcome.readings):.1f} s",
        f"{_peak(outcome.readings):.0f} MB",
        ratio,
    ]


def _combinations(result: Combinations) -> str:
    about = "Official / strict score, photos registered, wall seconds; one run each."
    names = list(dict.fromkeys(run.combination for run in result.runs))
    sets = list(dict.fromkeys(run.set for run in result.runs))
    cells = {(run.combination, run.set): _combination_cell(run.outcome) for run in result.runs}
    lines = [[name, *(cells.get((name, one), "not run") for one in sets)] for name in names]
    settings = f" Settings: {', '.join(result.overrides)}." if result.overrides else ""
    return "\n\n".join([_machine(result.machine), about + settings, _table(["", *sets], lines)])


def _aliked(result: LeanAlikedResult) -> str:
    about = (
        f"{result.device}; {result.photos} photos of {result.long_edge_px} px, {result.keypoints} keypoints,"
        f" {result.rounds} rounds."
    )
    lines = [
        [m.name, f"{m.kornia_ms:.0f}", f"{m.ours_ms:.0f}", f"{m.ratio:.2f}", f"{m.common:.1%}", f"{m.score_gap:.0e}"]
        for m in result.models
    ]
    head = ["model", "kornia, ms", "ours, ms", "ratio", "keypoints in common", "scores differ by"]
    return "\n\n".join([_machine(result.machine), about, _table(head, lines)])


def _combination_cell(outcome: Outcome) -> str:
    score = (
        "" if outcome.official is None or outcome.strict is None else f"{outcome.official:.1f} / {outcome.strict:.1f}, "
    )
    return f"{score}{outcome.registered}/{outcome.images}, {outcome.readings[0].wall_s:.0f} s"


def _planning(result: Planning) -> str:
    total = sum(result.stages_s.values())
    wall = statistics.median(reading.wall_s for reading in result.readings)
    lines = [[step, f"{seconds:.2f}"] for step, seconds in result.stages_s.items()] + [["all", f"{total:.2f}"]]
    counts = f"{result.photos:,} made-up photos, {result.pairs:,} pairs, {sum(result.tasks.values()):,} tasks"
    whole = f"{wall:.1f} s wall with imports, peak {_peak(result.readings):.0f} MB"
    about = f"{counts}; median of {len(result.readings)} processes: {whole}."
    return "\n\n".join([_machine(result.machine), about, _table(["step", "CPU s"], lines)])


def _service(result: Service) -> str:
    lines = [
        [f"`{name}`" if name.startswith("GET") else name, str(a.count)]
        + [f"{value:.1f}" for value in (a.median_ms, a.p99_ms, a.longest_ms)]
        for name, a in result.answers.items()
    ]
    about = (
        f"{result.rate} requests a second for {result.seconds:g} s, open loop, from a second process on the same cores,"
        f" while a job of {result.photos} runs; {result.old_jobs:,} jobs in the ledger (SQLite)."
    )
    upload = (
        f"An upload of {result.upload_mb} MB: web process {result.web_process_mb_before:.0f} MB before,"
        f" {result.web_process_mb_most:.0f} MB at most."
    )
    table = _table(["answer", "count", "median, ms", "p99, ms", "longest, ms"], lines)
    return "\n\n".join([_machine(result.machine), about, table, upload])


def _page(result: Page) -> str:
    about = f"Chromium with a software renderer, a fresh profile each time; medians of {result.repeats} times."
    kinds = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(result.bundle_gzip_kb.items()))
    lines = [
        [f"all files, gzipped ({kinds})", f"{sum(result.bundle_gzip_kb.values()):.0f} kB"],
        ["first view", f"{result.first_view_ms:.0f} ms"],
        [f"{result.points:,} points, from their last byte to the last pixel", f"{result.points_drawn_ms:.0f} ms"],
        ["turning them", f"{result.turning_fps:.0f} frames/s"],
    ]
    return "\n\n".join([_machine(result.machine), about, _table(["", ""], lines)])


def _dense(result: Dense) -> str:
    about = (
        f"{result.device}; {result.weights}; {result.photos} photos of {result.long_edge_px} px, {result.pairs} pairs,"
        f" {result.precision}, {result.rounds} rounds. {_sentence(result.on_a_gpu)}"
    )
    sides = {"photos once, pairs in batches": result.ours, "pair by pair, fp32, encoded anew": result.usual}
    lines = [[name, *_side_cells(side)] for name, side in sides.items()]
    table = _table(["order of work", "ms a pair", "CPU ms a pair", "matches a pair"], lines)
    ratios = (
        f"{result.wall_ratio:.2f} × as fast, {result.cpu_ratio:.2f} × by CPU time, with"
        f" {result.usual_matches_kept:.1%} of the same matches."
    )
    return "\n\n".join([_machine(result.machine), about, table, ratios + "\n"])


def _batches(result: Batches) -> str:
    about = (
        f"{result.device}; {result.photos} photos of {result.long_edge_px} px, {result.keypoints} keypoints at most,"
        f" {result.pairs} pairs, {result.precision} against fp32, {result.rounds} rounds. {_sentence(result.on_a_gpu)}"
    )
    lines: list[list[str]] = []
    for model in result.models:
        title = f"{model.name}, {model.weights}"
        lines.append([title, "ours", *_side_cells(model.ours), "", "", ""])
        lines += [
            [title, name, *_side_cells(o.side), f"{o.wall_ratio:.2f}", f"{o.cpu_ratio:.2f}", f"{o.kept:.1%}"]
            for name, o in model.others.items()
        ]
    head = ["network", "side", "ms a pair", "CPU ms a pair", "matches a pair"]
    head += ["its time / ours", "its CPU time / ours", "its matches that ours has"]
    return "\n\n".join([_machine(result.machine), about, _table(head, lines)])


def _workers(result: Workers) -> str:
    settings = f", {', '.join(result.overrides)}" if result.overrides else ""
    about = (
        f"{result.device}, {result.devices} GPUs; {result.combination}{settings}: {result.photos} photos,"
        f" {result.pairs} pairs, verification included, {result.rounds} rounds. {_sentence(result.on_a_gpu)}"
    )
    lines = [
        [str(c.workers), f"{c.match_s:.1f}", "not run on a GPU" if c.gpu_busy is None else f"{c.gpu_busy:.0%}"]
        for c in result.counts
    ]
    table = _table(["workers", "matching, s", "GPU busy"], lines)
    scale = f"{result.counts[-1].workers} workers are {result.scale:.2f} × as fast as one."
    return "\n\n".join([_machine(result.machine), about, table, scale + "\n"])


def _side_cells(side: DenseSide) -> list[str]:
    return [f"{side.wall_ms:.0f}", f"{side.cpu_ms:.0f}", f"{side.matches:.0f}"]


def _scoring(result: Scoring) -> str:
    lines = [
        [
            str(row.images),
            row.case,
            f"{row.ours_s:.3f}",
            NONE if row.reference_s is None else f"{row.reference_s:.3f}",
            NONE if row.ratio is None else f"{row.ratio:.1f}",
        ]
        for row in result.rows
    ]
    return f"{_machine(result.machine)} One thread; both count the same cameras.\n\n" + _table(
        ["images", "submission", "reconflow, CPU s", "reference, CPU s", "reference / reconflow"], lines
    )


def _matching(result: Matching) -> str:
    lines: list[list[str]] = []
    for title, sides in result.comparisons.items():
        ours = next(iter(sides.values())).cpu_ms
        lines += [
            [title, name, f"{side.cpu_ms:.1f}", f"{side.matches:.0f}", f"{ours / side.cpu_ms:.2f}"]
            for name, side in sides.items()
        ]
    head = ["what", "side", "CPU ms a pair", "matches a pair", "first side / this side"]
    about = f"One thread; medians over the pairs of {result.photos} photos, {result.rounds} rounds."
    return f"{_machine(result.machine)}\n\n{about}\n\n" + _table(head, lines)


def _pairs(result: Pairs) -> str:
    angles = list(dict.fromkeys(angle for row in result.rows for angle in row.posed_1deg))
    head = [
        "combination",
        "keypoints",
        "CPU s/photo",
        "CPU ms/pair: match, verify",
        *(f"< 1° at {angle}°" for angle in angles),
    ]
    head += ["true pairs verified", "unrelated verified", "inliers by chance: 99 % under, most (level)"]
    lines = [
        [
            row.combination,
            f"{row.keypoints:.0f}",
            f"{row.cpu_s_per_image:.2f}",
            f"{1e3 * row.match_cpu_s_per_pair:.0f}, {1e3 * row.verify_cpu_s_per_pair:.0f}",
            *(row.posed_1deg.get(angle, NONE) for angle in angles),
            f"{row.verified_true}/{row.true_pairs}",
            f"{row.unrelated_verified}/{row.unrelated_pairs}",
            f"{row.unrelated_99:.0f}, {row.unrelated_most} ({row.acceptance})",
        ]
        for row in result.rows
    ]
    about = (
        f"At most {result.keypoints} keypoints of each extractor, {result.long_edge_px} px; poses from known cameras."
    )
    return f"{_machine(result.machine)}\n\n{about}\n\n" + _table(head, lines)


def _machine(machine: Machine) -> str:
    return (
        f"{machine.processor}, {machine.cores} cores, Python {machine.python}, commit `{machine.commit}`,"
        f" load at the start {machine.load_at_start:.1f}; {_versions(machine.versions)}."
    )


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _peak(readings: Sequence[Reading]) -> float:
    return max(reading.peak_tree_mb for reading in readings)


def _seconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds:.1f}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


_KINDS: dict[type, tuple[str, Callable[[Any], str]]] = {
    Quality: ("Whole runs beside plain COLMAP", _quality),
    Combinations: ("Features and matchers in whole runs", _combinations),
    LeanAlikedResult: ("ALIKED's forward pass beside kornia's", _aliked),
    Planning: ("Planning", _planning),
    Service: ("The service while a job runs", _service),
    Page: ("The web page", _page),
    Dense: ("MASt3R beside the usual order of work", _dense),
    Batches: ("LightGlue in batches beside kornia, pair by pair", _batches),
    Workers: ("Matching by several workers, and how busy GPUs are", _workers),
    Scoring: ("The IMC2025 metric beside an independent implementation", _scoring),
    Matching: ("Search and matching beside what they replace", _matching),
    Pairs: ("Features and matchers on pairs of photos", _pairs),
}
"""Title and body of a section, by what a file holds."""


if __name__ == "__main__":
    sys.exit(main())
