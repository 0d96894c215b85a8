"""Point clouds and their binary PLY files."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reconflow.core.arrays import Array, checked
from reconflow.errors import InputError

_POSITION = [(name, "<f4") for name in ("x", "y", "z")]
_NORMAL = [(name, "<f4") for name in ("nx", "ny", "nz")]
_COLOR = [(name, "u1") for name in ("red", "green", "blue")]
_PLY_TYPES = {"<f4": "float", "u1": "uchar"}


@dataclass(frozen=True)
class PointCloud:
    """Points with colours and, where they are known, unit normals."""

    points: Array
    """(N, 3) float64, in world units."""
    colors: Array
    """(N, 3) uint8: red, green, blue."""
    normals: Array | None = None
    """(N, 3) float32 of unit length, towards the cameras."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", checked("points", self.points, ("N", 3), np.float64))
        n = len(self.points)
        object.__setattr__(self, "colors", checked("colors", self.colors, (n, 3), np.uint8))
        if self.normals is not None:
            object.__setattr__(self, "normals", checked("normals", self.normals, (n, 3), np.float32))

    def __len__(self) -> int:
        return len(self.points)


def write_ply(cloud: PointCloud, path: str | os.PathLike[str]) -> None:
    """Write a binary little-endian PLY: float32 positions (and normals), uchar colours."""
    groups = [(_POSITION, cloud.points), (_NORMAL, cloud.normals), (_COLOR, cloud.colors)]
    present = [(fields, values) for fields, values in groups if values is not None]
    vertices = np.empty(len(cloud), [field for fields, _ in present for field in fields])
    for fields, values in present:
        for column, (name, _) in enumerate(fields):
            vertices[name] = values[:, column]
    properties = "".join(f"property {_PLY_TYPES[kind]} {name}\n" for fields, _ in present for name, kind in fields)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(cloud)}\n{properties}end_header\n"
    with Path(path).open("wb") as file:
        file.write(header.encode("ascii"))
        file.write(vertices.tobytes())


def read_ply(path: str | os.PathLike[str]) -> PointCloud:
    """Read a PLY written by :func:`write_ply`.

    Raises
    ------
    InputError
        If the file is not such a PLY.

    """
    data = Path(path).read_bytes()
    header, marker, body = data.partition(b"end_header\n")
    lines = header.decode("ascii", "replace").splitlines()
    if not marker or lines[:2] != ["ply", "format binary_little_endian 1.0"]:
        raise InputError(f"{path} is not a binary little-endian PLY file")
    count = next((int(line.split()[2]) for line in lines if line.startswith("element vertex ")), 0)
    kinds = {ply: kind for kind, ply in _PLY_TYPES.items()}
    words = [line.split() for line in lines if line.startswith("property ")]
    layout = np.dtype([(name, kinds[kind]) for _, kind, name in words])
    if len(body) < count * layout.itemsize:
        raise InputError(f"{path} is cut short: {count} vertices are announced")
    vertices = np.frombuffer(body, layout, count)

    def columns(fields: list[tuple[str, str]]) -> Array:
        return np.column_stack([vertices[name] for name, _ in fields])

    normals = columns(_NORMAL) if "nx" in (layout.names or ()) else None
    return PointCloud(points=columns(_POSITION), colors=columns(_COLOR), normals=normals)
