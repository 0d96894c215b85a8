"""What is known of a photo before any feature is: the image record."""

import msgspec

from reconflow.core.turns import Turn

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
"""File name endings that count as photos, in lower case."""

IMAGE_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
"""What such a file may be in truth. Pillow's other parsers, PostScript's among them, are not for strangers' files."""

FILM_DIAGONAL_MM = 43.2666
"""Diagonal of 35 mm film, 36 × 24 mm: what "35 mm equivalent" refers to."""


class Exif(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The EXIF fields reconflow uses; anything absent or nonsensical in the file is ``None``."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    taken_at: str | None = None
    """``YYYY:MM:DD HH:MM:SS[.fff]`` as the camera wrote it: sortable, without a zone."""
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_m: float | None = None


class ImageStats(msgspec.Struct, frozen=True, kw_only=True):
    """Appearance of a photo decoded at no more than 512 px, for drift monitoring."""

    brightness: float
    contrast: float
    saturation: float
    sharpness: float
    noise: float
    clipping: float
    entropy: float


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One readable photo of the input.

    ``name`` is the path relative to the input, with forward slashes: the photo's identity in every output.
    ``width`` and ``height`` are those of the raw raster, in which keypoints, cameras and models all live;
    ``orientation`` is the EXIF tag (1 to 8), which pages display it by and ``quarters`` starts from.
    """

    name: str
    path: str
    sha256: str
    width: int
    height: int
    orientation: int = 1
    quarters: int = 0
    """Clockwise quarter turns after which networks see it; its keypoints are in the raw raster all the same."""
    exif: Exif = Exif()
    focal_prior_px: float | None = None
    """Focal length in pixels as far as EXIF tells it."""
    stats: ImageStats | None = None

    @property
    def turn(self) -> Turn:
        """How the photo is turned."""
        return Turn(self.quarters, (self.width, self.height))

    @property
    def content(self) -> str:
        """What extractors see: features are kept by it."""
        return f"{self.sha256}.{self.quarters}" if self.quarters else self.sha256


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A file that looked like a photo and could not be used, and why."""

    name: str
    reason: str
