"""What a file in ``results/`` holds: one struct per benchmark, so that what is published can be read back and checked.

`read_result` is the only door: a file that no struct fits, or that names a place on somebody's machine, is refused.
"""

import re
from pathlib import Path

import msgspec

_PLACE = re.compile(r'"(?:[A-Za-z]:\\|/)[^"]*/')
"""A string that starts like an absolute path."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one command."""

    wall_s: float
    cpu_s: float
    peak_tree_mb: float
    peak_process_mb: float
    exit_code: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measurement was made."""

    processor: str
    cores: int
    """Cores the processes may use; both sides use all of them."""
    platform: str
    python: str
    commit: str
    versions: dict[str, str]
    load_at_start: float
    """One-minute load average before the first run: above zero, somebody else was at work."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One side on one set."""

    registered: int
    images: int
    outliers_in_a_scene: int | None
    official: float | None
    strict: float | None
    readings: list[Reading]
    stages_s: dict[str, float]
    """Of the last run."""


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides on one set."""

    name: str
    reconflow: Outcome
    peer: Outcome | None
    peer_defaults: Outcome | None
    wall_ratio: float | None
    """Median over the repeats of reconflow's time over the peer's."""
    cpu_ratio: float | None


class Quality(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="quality"):
    """Whole runs beside the peer's, by ``quality/evaluate.py``."""

    machine: Machine
    arguments: list[str]
    """As given, but for the folders: of those only the names."""
    seeds: dict[str, str] = {}
    """What each side is told."""
    sets: list[SetResult]


class CombinationRun(msgspec.Struct, frozen=True, kw_only=True):
    """One combination of extractors and matchers on one set."""

    set: str
    combination: str
    outcome: Outcome


class Combinations(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="combinations"):
    """Whole runs of several combinations, by ``quality/combinations.py``."""

    machine: Machine
    overrides: list[str]
    runs: list[CombinationRun]


class AlikedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model; milliseconds a photo, medians over photos and rounds."""

    name: str
    kornia_ms: float
    ours_ms: float
    ratio: float
    """Median over the turns of our time over kornia's."""
    common: float
    """Share of kornia's keypoints that ours has too."""
    score_gap: float
    """Largest difference of the scores of these."""


class LeanAlikedResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="aliked"):
    """Our forward pass of ALIKED beside kornia's, by ``speed/aliked.py``."""

    machine: Machine
    device: str
    long_edge_px: int
    keypoints: int
    photos: int
    rounds: int
    models: list[AlikedModel]


class Planning(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="planning"):
    """Planning of many photos, by ``speed/planning.py``."""

    machine: Machine
    seed: int
    photos: int
    pairs: int
    tasks: dict[str, int]
    readings: list[Reading]
    stages_s: dict[str, float]
    """CPU seconds of each step, medians over the readings."""


class ScoringRow(msgspec.Struct, frozen=True, kw_only=True):
    """One size and one kind of submission; ``ratio`` is the reference's time over ours."""

    images: int
    case: str
    rounds: int
    ours_s: float
    reference_s: float | None
    ratio: float | None


class Scoring(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="scoring"):
    """The metric against an independent implementation, by ``speed/evaluate.py``."""

    machine: Machine
    rows: list[ScoringRow]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison; means and medians a pair."""

    cpu_ms: float
    matches: float


class Matching(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="matching"):
    """Search and matchers against what they replace, by ``speed/matching.py``; the first side is ours."""

    machine: Machine
    photos: int
    rounds: int
    comparisons: dict[str, dict[str, Side]]


class PairRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one combination reached."""

    combination: str
    acceptance: int
    """Inliers from which on a pair counts as verified."""
    cpu_s_per_image: float
    keypoints: float
    match_cpu_s_per_pair: float
    verify_cpu_s_per_pair: float
    median_inliers: dict[str, float]
    """By angle between the viewing directions."""
    posed_1deg: dict[str, str]
    """How many of how many, by angle."""
    posed_5deg: int
    verified_true: int
    true_pairs: int
    unrelated_pairs: int
    unrelated_verified: int
    unrelated_most: int
    unrelated_99: float
    """Inliers that 99 % of the unrelated pairs stay under."""


class Pairs(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pairs"):
    """Features and matchers on pairs of real photos, by ``quality/pairs.py``."""

    machine: Machine
    keypoints: int
    long_edge_px: int
    seed: int
    rows: list[PairRow]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers took."""

    count: int
    median_ms: float
    p99_ms: float
    longest_ms: float


class Service(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="service"):
    """The service's answers while a job runs, and its memory under an upload, by ``speed/service.py``."""

    machine: Machine
    photos: str
    """Name of the set whose job ran."""
    rate: int
    """Requests a second."""
    seconds: float
    old_jobs: int
    """Jobs in the ledger before."""
    answers: dict[str, Answers]
    upload_mb: int
    web_process_mb_before: float
    web_process_mb_most: float


class Page(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="page"):
    """The web page in a browser with a software renderer, by ``speed/page.py``; medians over the repeats."""

    machine: Machine
    repeats: int
    points: int
    bundle_gzip_kb: dict[str, float]
    """By kind of file."""
    first_view_ms: float
    """From the request to the sign-in form, nothing cached."""
    points_drawn_ms: float
    """From the last byte of the points to the last pixel."""
    turning_fps: float
    """Frames a second while the view turns; fewer points are drawn meanwhile."""


class DenseSide(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison of networks that match; all figures are for one pair."""

    wall_ms: float
    cpu_ms: float
    matches: float


class Dense(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="dense"):
    """MASt3R in batches against one pair at a time, by ``speed/mast3r.py``; ratios are the other's time over ours."""

    machine: Machine
    device: str
    on_a_gpu: str
    """``measured on a GPU``, or that it was not, and why."""
    weights: str
    photos: int
    pairs: int
    long_edge_px: int
    precision: str
    rounds: int
    ours: DenseSide
    usual: DenseSide
    wall_ratio: float
    cpu_ratio: float
    usual_matches_kept: float
    """Share of the usual way's matches that ours has too."""


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """A side beside ours; ratios are its time over ours, medians of the turns."""

    side: DenseSide
    wall_ratio: float
    cpu_ratio: float
    kept: float
    """Share of its matches that ours has too."""


class BatchesModel(msgspec.Struct, frozen=True, kw_only=True):
    """One network."""

    name: str
    weights: str
    ours: DenseSide
    others: dict[str, Other]


class Batches(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="batches"):
    """LightGlue in batches against one pair at a time, by ``speed/lightglue.py``."""

    machine: Machine
    device: str
    on_a_gpu: str
    """``measured on a GPU``, or that it was not, and why."""
    photos: int
    pairs: int
    long_edge_px: int
    keypoints: int
    precision: str
    rounds: int
    models: list[BatchesModel]


class WorkerCount(msgspec.Struct, frozen=True, kw_only=True):
    """So many workers; medians of the turns."""

    workers: int
    match_s: float
    gpu_busy: float | None
    """Share of time that the devices computed; None without a GPU."""


class Workers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="workers"):
    """Matching of a set by several workers and by one, by ``speed/workers.py``."""

    machine: Machine
    device: str
    on_a_gpu: str
    """``measured on a GPU``, or that it was not, and why."""
    devices: int
    """GPUs that the workers go round."""
    photos: int
    pairs: int
    combination: str
    overrides: list[str]
    rounds: int
    counts: list[WorkerCount]
    scale: float
    """Median over the turns of one worker's time over that of several."""


class DriftRow(msgspec.Struct, frozen=True, kw_only=True):
    """Baselines of so many scenes; shares of the draws."""

    baseline: int
    flagged: dict[str, float]
    """By change: how often the scene was called drifted at all."""
    high: dict[str, float]
    """By change: how often highly."""
    wrongly: dict[str, float]
    """By feature: how often it called an unchanged scene drifted."""


class DriftKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of service."""

    name: str
    scenes: int
    photos: int
    rows: list[DriftRow]


class Drift(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="drift"):
    """How often the drift check is wrong, by ``quality/drift.py``."""

    machine: Machine
    draws: int
    seed: int
    kinds: list[DriftKind]


Result = (
    Quality
    | Planning
    | Scoring
    | Matching
    | Pairs
    | Service
    | Page
    | Dense
    | Batches
    | Workers
    | Combinations
    | LeanAlikedResult
    | Drift
)


def read_result(path: Path) -> Result:
    """Read and check one file.

    Raises
    ------
    ValueError
        If no struct fits, or the file holds an absolute path.

    """
    content = path.read_bytes()
    if place := _PLACE.search(content.decode()):
        raise ValueError(f"{path.name} names a place on a machine: {place.group()}")
    try:
        return msgspec.json.decode(content, type=Result)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path.name}: {error}") from error


def write_result(result: Result, path: Path) -> None:
    """Write one file, and read it back: what is published can be checked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    read_result(path)
