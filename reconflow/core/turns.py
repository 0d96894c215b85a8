"""Quarter turns: photos as they stand upright, and places in them as pixels of the file.

Networks are trained on photos that stand upright, and find nothing in common between two that differ by a quarter
turn. Phones write portraits lying on their side; EXIF says so, where it was kept.
"""

from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array

_UPRIGHT = {3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}
"""EXIF orientation → clockwise quarter turns that put the photo upright; what is mirrored stays so."""


@dataclass(frozen=True)
class Turn:
    """A photo turned clockwise. Both rasters have COLMAP's origin: the corner of the top-left pixel."""

    quarters: int
    """Quarter turns, 0 to 3."""
    size: tuple[int, int]
    """Width and height of the raw raster."""

    def image(self, raw: Array) -> Array:
        """Return an (H, W, …) raster turned."""
        return np.ascontiguousarray(np.rot90(raw, -self.quarters)) if self.quarters else raw

    def to_raw(self, places: Array) -> Array:
        """Return (N, 2) places of the turned raster as float32 pixels of the raw one."""
        (x, y), (width, height) = np.asarray(places, np.float64).T, self.size
        raw = ((x, y), (y, height - x), (width - x, height - y), (width - y, x))[self.quarters]
        return np.column_stack(raw).astype(np.float32)

    def from_raw(self, places: Array) -> Array:
        """Return (N, 2) pixels of the raw raster as float32 places of the turned one."""
        (x, y), (width, height) = np.asarray(places, np.float64).T, self.size
        turned = ((x, y), (height - y, x), (width - x, height - y), (y, width - x))[self.quarters]
        return np.column_stack(turned).astype(np.float32)


def upright_quarters(orientation: int) -> int:
    """Return the clockwise quarter turns that put a photo of that EXIF orientation upright.

    >>> [upright_quarters(orientation) for orientation in (1, 6, 3, 8)]
    [0, 1, 2, 3]
    """
    return _UPRIGHT.get(orientation, 0)
