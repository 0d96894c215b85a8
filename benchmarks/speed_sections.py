"""Sections of the page on how fast parts are, and the service."""

import statistics

from markdown import machine, peak, sentence, table
from speed_schema import (
    MEASURED_ON_A_GPU,
    Batches,
    Dense,
    DenseSide,
    LeanAlikedResult,
    Matching,
    Page,
    Planning,
    Service,
    Workers,
)


def aliked(result: LeanAlikedResult) -> str:
    """ALIKED's forward pass beside kornia's."""
    about = (
        f"{result.device}; {result.photos} photos of {result.long_edge_px} px, {result.keypoints} keypoints,"
        f" {result.rounds} rounds."
    )
    lines = [
        [m.name, f"{m.kornia_ms:.0f}", f"{m.ours_ms:.0f}", f"{m.ratio:.2f}", f"{m.common:.1%}", f"{m.score_gap:.0e}"]
        for m in result.models
    ]
    head = ["model", "kornia, ms", "ours, ms", "ratio", "keypoints in common", "scores differ by"]
    return "\n\n".join([machine(result.machine), about, table(head, lines)])


def planning(result: Planning) -> str:
    """Planning of many photos."""
    total = sum(result.stages_s.values())
    wall = statistics.median(reading.wall_s for reading in result.readings)
    lines = [[step, f"{seconds:.2f}"] for step, seconds in result.stages_s.items()] + [["all", f"{total:.2f}"]]
    counts = f"{result.photos:,} made-up photos, {result.pairs:,} pairs, {sum(result.tasks.values()):,} tasks"
    whole = f"{wall:.1f} s wall with imports, peak {peak(result.readings):.0f} MB"
    about = f"{counts}; median of {len(result.readings)} processes: {whole}."
    return "\n\n".join([machine(result.machine), about, table(["step", "CPU s"], lines)])


def service(result: Service) -> str:
    """Answers while a job runs."""
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
    rows = table(["answer", "count", "median, ms", "p99, ms", "longest, ms"], lines)
    return "\n\n".join([machine(result.machine), about, rows, upload])


def page(result: Page) -> str:
    """The page in a browser."""
    about = f"Chromium with a software renderer, a fresh profile each time; medians of {result.repeats} times."
    kinds = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(result.bundle_gzip_kb.items()))
    lines = [
        [f"all files, gzipped ({kinds})", f"{sum(result.bundle_gzip_kb.values()):.0f} kB"],
        ["first view", f"{result.first_view_ms:.0f} ms"],
        [f"{result.points:,} points, from their last byte to the last pixel", f"{result.points_drawn_ms:.0f} ms"],
        ["turning them", f"{result.turning_fps:.0f} frames/s"],
    ]
    return "\n\n".join([machine(result.machine), about, table(["", ""], lines)])


def dense(result: Dense) -> str:
    """MASt3R beside the usual order."""
    about = (
        f"{result.device}; {result.weights}; {result.photos} photos of {result.long_edge_px} px, {result.pairs} pairs,"
        f" {result.precision}, {result.rounds} rounds. {sentence(result.on_a_gpu)}"
    )
    exactly = "TF32" if result.on_a_gpu == MEASURED_ON_A_GPU else "fp32"
    sides = {"photos once, pairs in batches": result.ours, f"pair by pair, {exactly}, encoded anew": result.usual}
    lines = [[name, *_side_cells(side)] for name, side in sides.items()]
    rows = table(["order of work", "ms a pair", "CPU ms a pair", "matches a pair"], lines)
    ratios = (
        f"{result.wall_ratio:.2f} × as fast, {result.cpu_ratio:.2f} × by CPU time, with"
        f" {result.usual_matches_kept:.1%} of the same matches."
    )
    return "\n\n".join([machine(result.machine), about, rows, ratios + "\n"])


def batches(result: Batches) -> str:
    """LightGlue in batches and pair by pair."""
    exactly = "fp32 with attention in fp16" if result.on_a_gpu == MEASURED_ON_A_GPU else "fp32"
    about = (
        f"{result.device}; {result.photos} photos of {result.long_edge_px} px, {result.keypoints} keypoints at most,"
        f" {result.pairs} pairs, {result.precision} against {exactly}, {result.rounds} rounds."
        f" {sentence(result.on_a_gpu)}"
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
    return "\n\n".join([machine(result.machine), about, table(head, lines)])


def workers(result: Workers) -> str:
    """Matching by several workers."""
    settings = f", {', '.join(result.overrides)}" if result.overrides else ""
    about = (
        f"{result.device}, {result.devices} GPUs; {result.combination}{settings}: {result.photos} photos,"
        f" {result.pairs} pairs, verification included, {result.rounds} rounds. {sentence(result.on_a_gpu)}"
    )
    untold = "not told" if result.devices else "not run on a GPU"
    lines = [
        [str(c.workers), f"{c.match_s:.1f}", untold if c.gpu_busy is None else f"{c.gpu_busy:.0%}"]
        for c in result.counts
    ]
    rows = table(["workers", "matching, s", "GPU busy"], lines)
    scale = f"{result.counts[-1].workers} workers are {result.scale:.2f} × as fast as one."
    return "\n\n".join([machine(result.machine), about, rows, scale + "\n"])


def _side_cells(side: DenseSide) -> list[str]:
    return [f"{side.wall_ms:.0f}", f"{side.cpu_ms:.0f}", f"{side.matches:.0f}"]


def matching(result: Matching) -> str:
    """Search and matching beside what they replace."""
    lines: list[list[str]] = []
    for title, sides in result.comparisons.items():
        ours = next(iter(sides.values())).cpu_ms
        lines += [
            [title, name, f"{side.cpu_ms:.1f}", f"{side.matches:.0f}", f"{ours / side.cpu_ms:.2f}"]
            for name, side in sides.items()
        ]
    head = ["what", "side", "CPU ms a pair", "matches a pair", "first side / this side"]
    about = f"One thread; medians over the pairs of {result.photos} photos, {result.rounds} rounds."
    return f"{machine(result.machine)}\n\n{about}\n\n" + table(head, lines)
