"""Poses of photos as the IMC2025 CSV: ``dataset,scene,image,rotation_matrix,translation_vector``."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from reconflow.core.cameras import Pose
from reconflow.errors import InputError

OUTLIERS = "outliers"
"""The scene of photos that belong to no scene."""

COLUMNS = ("dataset", "scene", "image", "rotation_matrix", "translation_vector")


class PoseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One photo's line: its scene and, where it was registered, its pose."""

    dataset: str
    scene: str
    image: str
    cam_from_world: Pose | None = None


def write_poses(rows: Iterable[PoseRow], path: str | os.PathLike[str], *, kaggle: bool = False) -> None:
    """Write rows as CSV; ``kaggle`` adds the leading ``image_id`` column of the competition's file."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((("image_id",) if kaggle else ()) + COLUMNS)
        for row in rows:
            pose = row.cam_from_world
            rotation = np.full(9, np.nan) if pose is None else pose.rotation.ravel()
            translation = np.full(3, np.nan) if pose is None else pose.translation
            lead = (f"{row.dataset}_{row.image}_public",) if kaggle else ()
            writer.writerow((*lead, row.dataset, row.scene, row.image, _joined(rotation), _joined(translation)))


def read_poses(path: str | os.PathLike[str]) -> list[PoseRow]:
    """Read rows; further columns, such as ``image_id``, are ignored and columns may stand in any order.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, holds something that is no number, or names a photo twice.

    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} lacks the column {missing[0]}; it needs {','.join(COLUMNS)}")
            rows = [_parse(row, f"{path}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.dataset, row.image) in seen:
            raise InputError(f"{path} names {row.dataset}/{row.image} twice")
        seen.add((row.dataset, row.image))
    return rows


def _parse(row: dict[str, str], where: str) -> PoseRow:
    rotation = _numbers(row["rotation_matrix"], 9, where).reshape(3, 3)
    translation = _numbers(row["translation_vector"], 3, where)
    known = bool(np.isfinite(rotation).all() and np.isfinite(translation).all())
    return PoseRow(
        dataset=row["dataset"],
        scene=row["scene"],
        image=row["image"],
        cam_from_world=Pose(rotation, translation) if known else None,
    )


def _numbers(text: str | None, count: int, where: str) -> np.ndarray:
    parts = (text or "").split(";")
    if len(parts) != count:
        raise InputError(f"{where}: expected {count} numbers separated by ';', got {len(parts)}")
    try:
        return np.array([float(part) for part in parts])
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _joined(values: np.ndarray) -> str:
    return ";".join("nan" if np.isnan(v) else repr(float(v)) for v in values)
