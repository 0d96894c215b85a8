"""What a file in ``results/`` holds that says how fast something is: one struct per benchmark."""

import msgspec
from readings import Machine, Reading

MEASURED_ON_A_GPU = "measured on a GPU"
"""What is told of a result where networks ran on one; elsewhere that they did not, and why."""


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
    """``MEASURED_ON_A_GPU``, or that it was not, and why."""
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
    """``MEASURED_ON_A_GPU``, or that it was not, and why."""
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
    """Share of time that the devices computed; None without a GPU, and where its driver does not tell."""


class Workers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="workers"):
    """Matching of a set by several workers and by one, by ``speed/workers.py``."""

    machine: Machine
    device: str
    on_a_gpu: str
    """``MEASURED_ON_A_GPU``, or that it was not, and why."""
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
