"""What a file in ``results/`` holds that says how good something is: one struct per benchmark."""

import msgspec
from readings import Machine, Outcome


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
    variant: str = ""
    """The setting that this run had and others of its combination did not."""


class Combinations(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="combinations"):
    """Whole runs of several combinations, by ``quality/combinations.py``."""

    machine: Machine
    overrides: list[str]
    runs: list[CombinationRun]
    photos_px: int = 0
    """Long edge to which the photos were reduced before; 0 where they are as they are."""


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


class CoarseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One extractor, as it is told to run the coarse pass."""

    extractor: str
    alike: float
    """Dot product asked for; 0 where it goes by the ratio."""
    lost: dict[int, int]
    """By matches needed: how many of the pairs with a common scene are dropped."""
    passed: dict[int, float]
    """By matches needed: what share of the unrelated pairs is not."""
    cpu_ms_per_pair: float


class Coarse(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="coarse"):
    """What the coarse pass drops of pairs of real photos, by ``quality/coarse.py``."""

    machine: Machine
    keypoints: int
    """That take part, of each photo."""
    needed: int
    """Matches needed by default."""
    true_pairs: int
    unrelated_pairs: int
    rows: list[CoarseRow]


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
