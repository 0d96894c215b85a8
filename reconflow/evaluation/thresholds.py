"""How far a camera centre may be off: distances per scene, in the truth's unit."""

import csv
import os
from pathlib import Path

import msgspec
import numpy as np

from reconflow.core.arrays import Array
from reconflow.errors import InputError

AUTOMATIC_SHARES = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05)
"""Thresholds of a scene without given ones, as shares of the RMS distance of its centres from their mean."""

SKIPPED = 2
"""The two tightest thresholds are reported and not counted."""

_COLUMNS = ("dataset", "scene", "thresholds")


class Thresholds(msgspec.Struct, frozen=True):
    """Thresholds by dataset and scene; a scene that is not there gets automatic ones from its extent."""

    by_scene: dict[str, dict[str, tuple[float, ...]]] = {}

    def __post_init__(self) -> None:
        lengths = {len(values) for scenes in self.by_scene.values() for values in scenes.values()}
        if len(lengths) > 1:
            raise ValueError(f"every scene must have equally many thresholds, got {sorted(lengths)}")
        if any(length <= SKIPPED for length in lengths):
            raise ValueError(f"a scene needs more than {SKIPPED} thresholds, got {min(lengths)}")

    def of(self, dataset: str, scene: str, centers_in_world: Array) -> tuple[float, ...]:
        """Return the scene's thresholds, from its true centres (N, 3) where none are given.

        Raises
        ------
        InputError
            If the scene has neither given thresholds nor a known centre.

        """
        given = self.by_scene.get(dataset, {}).get(scene)
        if given is not None:
            return given
        if not len(centers_in_world):
            raise InputError(f"{dataset}/{scene} has no true pose; add its thresholds or remove it", item=scene)
        offsets = centers_in_world - centers_in_world.mean(0)
        extent = float(np.sqrt((offsets**2).sum(1).mean()))
        return tuple(share * extent for share in AUTOMATIC_SHARES)


AUTOMATIC = Thresholds()


def read_thresholds(path: str | os.PathLike[str]) -> Thresholds:
    """Read ``dataset,scene,thresholds`` with the numbers joined by ``;``.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or a scene's numbers are no ascending positive distances.

    """
    by_scene: dict[str, dict[str, tuple[float, ...]]] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} lacks the column {missing[0]}; it needs {','.join(_COLUMNS)}")
            for row in reader:
                values = _parse(row["thresholds"], f"{path}, line {reader.line_num}")
                by_scene.setdefault(row["dataset"], {})[row["scene"]] = values
        return Thresholds(by_scene)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _parse(text: str | None, where: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in (text or "").split(";"))
    except ValueError as error:
        raise InputError(f"{where}: thresholds must be numbers separated by ';', got {text!r}") from error
    if not (np.isfinite(values).all() and values[0] > 0 and bool((np.diff(values) >= 0).all())):
        raise InputError(f"{where}: thresholds must be positive distances in ascending order, got {text!r}")
    return values
