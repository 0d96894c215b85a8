"""The files in ``results/``, so that what is published can be read back and checked.

`read_result` is the only door: a file that no struct fits, or that names a place on somebody's machine, is refused.
"""

import re
from pathlib import Path

import msgspec
from quality_schema import Coarse, Combinations, Drift, Pairs, Quality, Scoring
from speed_schema import Batches, Dense, LeanAlikedResult, Matching, Page, Planning, Service, Workers

_PLACE = re.compile(r'"(?:[A-Za-z]:\\|/)[^"]*/')
"""A string that starts like an absolute path."""

Result = (
    Quality
    | Combinations
    | Scoring
    | Pairs
    | Coarse
    | Drift
    | LeanAlikedResult
    | Planning
    | Matching
    | Service
    | Page
    | Dense
    | Batches
    | Workers
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
