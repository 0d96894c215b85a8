"""What a worker and the mapper's process say to each other: a job in, a line per placed photo and a summary out.

Kept apart from both, so that the mapper starts without Dask.
"""

from pathlib import Path

import msgspec

from reconflow.pipeline.work_items import MappingTask

_SUMMARY = "scene.json"


class MapperJob(msgspec.Struct, frozen=True):
    """What the subprocess is told, as JSON in its folder."""

    store: str
    task: MappingTask


class MapperLine(msgspec.Struct, frozen=True):
    """A line the subprocess prints: how many photos are registered by now."""

    registered: int


class MapperSummary(msgspec.Struct, frozen=True):
    """What mapping a scene came to."""

    models: tuple[str, ...]
    """Sub-folders, the largest model first."""
    unregistered: dict[str, str]
    """Photos in no model, with the reason."""
    failure: str = ""
    """Why there is no model at all, where mapping failed; such a summary is not kept."""


def read_summary(folder: Path) -> MapperSummary:
    """Return what a finished mapping came to."""
    return msgspec.json.decode((folder / _SUMMARY).read_bytes(), type=MapperSummary)


def write_summary(folder: Path, summary: MapperSummary) -> None:
    """Write what the mapping came to, as its last act."""
    (folder / _SUMMARY).write_bytes(msgspec.json.encode(summary))


def has_summary(folder: Path) -> bool:
    """Return whether the mapping there came to its end."""
    return (folder / _SUMMARY).exists()
