"""What a network's encoder makes of one photo, once, for all its pairs."""

from dataclasses import dataclass, replace

import numpy as np

from reconflow.core.arrays import Array, checked
from reconflow.core.turns import Turn


@dataclass(frozen=True)
class Frame:
    """How a reduced and cropped raster lies in the photo it was made of; both have COLMAP's origin.

    A place (x, y) of the raster is ((x, y) + ``offset``) × ``scale`` in the photo.
    """

    size: tuple[int, int]
    """Width and height of the raster in pixels."""
    scale: tuple[float, float]
    """Pixels of the photo in one of the raster, along x and y."""
    offset: tuple[float, float]
    """What was cropped at the left and at the top, in pixels of the raster."""
    turn: Turn | None = None
    """How the photo was turned before; its pixels are those of the raw raster all the same."""

    def to_photo(self, places: Array) -> Array:
        """Return (N, 2) places of the raster as float32 pixels of the photo."""
        turned = ((np.asarray(places, np.float64) + self.offset) * self.scale).astype(np.float32)
        return self.turn.to_raw(turned) if self.turn else turned

    def to_raster(self, places: Array) -> Array:
        """Return (N, 2) pixels of the photo as float32 places of the raster; what was cropped lies outside of it."""
        turned = self.turn.from_raw(places) if self.turn else np.asarray(places, np.float64)
        return (turned / self.scale - self.offset).astype(np.float32)


@dataclass(frozen=True)
class Encoding:
    """The tokens of one photo."""

    tokens: Array
    """(T, C) float16, row by row."""
    grid: tuple[int, int]
    """Rows and columns of tokens."""
    colors: Array
    """(h, w, 3) uint8: the raster made small, to give points a colour."""
    frame: Frame

    def __post_init__(self) -> None:
        rows, columns = self.grid
        object.__setattr__(self, "tokens", checked("tokens", self.tokens, (rows * columns, "C"), np.float16))
        object.__setattr__(self, "colors", checked("colors", self.colors, ("h", "w", 3), np.uint8))

    def of_turned(self, turn: Turn) -> "Encoding":
        """Return the encoding of a photo of which the encoder was given the turned raster."""
        return replace(self, frame=replace(self.frame, turn=turn)) if turn.quarters else self

    def __sizeof__(self) -> int:
        """Bytes of the arrays; Dask would count the object's 48."""
        return object.__sizeof__(self) + self.tokens.nbytes + self.colors.nbytes

    def colors_at(self, places: Array) -> Array:
        """Return the (N, 3) uint8 colours at (N, 2) places of the raster."""
        height, width = self.colors.shape[:2]
        shrunk = np.asarray(places) * (width / self.frame.size[0], height / self.frame.size[1])
        columns, rows = np.clip(shrunk.astype(np.int64), 0, (width - 1, height - 1)).T
        return self.colors[rows, columns]
