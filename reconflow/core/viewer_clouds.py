"""Point clouds as the web page draws them: a small binary file whose blocks go to the graphics card as they are.

All numbers are little-endian, N is the number of points:

====================  ======================================================================================
bytes                 holds
====================  ======================================================================================
0–3                   ``RFPC``
4–7                   uint32: version, 1
8–11                  uint32: N
12–15                 uint32: points of the model, of which N are here
16–(16+12N)           float32 x, y, z of each point, in the model's world frame
then 4N               uint8 red, green, blue of each point, and the photos that see it (255: 255 or more)
then 2N               float16: reprojection error of each point, in pixels
====================  ======================================================================================

The points stand in random order: any first part of them is the whole cloud, thinned.
"""

import struct
from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.models import Model
from reconflow.errors import InputError

MAX_POINTS = 500_000
_HEADER = struct.Struct("<4sIII")
_MAGIC, _VERSION = b"RFPC", 1
_POINT_BYTES = 12 + 4 + 2


@dataclass(frozen=True)
class ViewerCloud:
    """What such a file holds."""

    total: int
    """Points of the model."""
    points: Array
    """(N, 3) float32, in world units."""
    colors: Array
    """(N, 3) uint8: red, green, blue."""
    observations: Array
    """(N,) uint8: photos that see each point, 255 for more."""
    errors_px: Array
    """(N,) float16: reprojection error."""


def encode_viewer_cloud(model: Model, *, max_points: int = MAX_POINTS, seed: int = 0) -> bytes:
    """Return the points of a model as such a file, thinned at random to ``max_points``; the same model, the same bytes.

    Points that are not finite are left out.
    """
    usable = np.flatnonzero(np.isfinite(model.points).all(axis=1))
    rows = np.random.default_rng(seed).permutation(usable)[:max_points]
    look = np.column_stack([model.colors[rows], np.minimum(model.track_lengths[rows], 255)]).astype(np.uint8)
    errors = np.minimum(model.errors_px[rows], np.finfo(np.float16).max)
    return b"".join(
        [
            _HEADER.pack(_MAGIC, _VERSION, len(rows), len(model.points)),
            model.points[rows].astype("<f4").tobytes(),
            look.tobytes(),
            errors.astype("<f2").tobytes(),
        ]
    )


def decode_viewer_cloud(content: bytes) -> ViewerCloud:
    """Return what such a file holds.

    Raises
    ------
    InputError
        If it is another kind of file, or cut short.

    """
    if len(content) < _HEADER.size or content[:4] != _MAGIC:
        raise InputError("this is no point cloud for the viewer: it does not begin with RFPC")
    _, version, count, total = _HEADER.unpack_from(content)
    if version != _VERSION or len(content) != _HEADER.size + count * _POINT_BYTES:
        raise InputError(f"the point cloud is cut short or of another version: {count} points, version {version}")
    points = np.frombuffer(content, "<f4", 3 * count, _HEADER.size).reshape(count, 3)
    look = np.frombuffer(content, np.uint8, 4 * count, _HEADER.size + 12 * count).reshape(count, 4)
    errors = np.frombuffer(content, "<f2", count, _HEADER.size + 16 * count)
    return ViewerCloud(total, points, look[:, :3], look[:, 3], errors)
