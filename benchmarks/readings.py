"""What every measurement is made of: runs, and the machine they ran on."""

import msgspec


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
