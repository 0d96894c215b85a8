"""How figures are written: tables, machines, numbers."""

from collections.abc import Sequence

from readings import Machine, Reading

NONE = "–"
"""What was not measured."""


_BUSY = 2.0
"""Load for each core from which on others were at work."""


def machine(machine: Machine) -> str:
    """Say where something was measured, and whether its seconds are to be read."""
    busy = machine.load_at_start > _BUSY * machine.cores
    return (
        f"{machine.processor}, {machine.cores} cores, Python {machine.python}, commit `{machine.commit}`,"
        f" load at the start {machine.load_at_start:.1f}; {_versions(machine.versions)}."
        + (" **The machine was busy: its seconds are no figures.**" if busy else "")
    )


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def peak(readings: Sequence[Reading]) -> float:
    """Return the most that all processes together took, in MB."""
    return max(reading.peak_tree_mb for reading in readings)


def seconds(seconds: float | None) -> str:
    """Write seconds; what was not measured as such."""
    return NONE if seconds is None else f"{seconds:.1f}"


def sentence(text: str) -> str:
    """Make a sentence of words."""
    return f"{text[:1].upper()}{text[1:]}."


def number(value: float) -> str:
    """Write a count or a score."""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
