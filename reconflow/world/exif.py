"""The EXIF block a camera would write."""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from reconflow.core.arrays import Array
from reconflow.core.images import FILM_DIAGONAL_MM

EARTH_RADIUS_M = 6_371_000.0


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A camera as its EXIF names it, with the lens as it truly is."""

    make: str
    model: str
    focal_35mm: int
    crop: float
    """Focal length in 35 mm equivalent over the true one in mm."""
    focal_error: float
    """How much longer the true focal length is than its EXIF says, as a share: nominal values are never exact."""
    distortion: float
    """k of SIMPLE_RADIAL."""

    def nominal_focal_px(self, width: int, height: int) -> float:
        """Return the focal length in pixels that follows from EXIF."""
        return self.focal_35mm / FILM_DIAGONAL_MM * float(np.hypot(width, height))


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A point on the ground that a world frame (x east, y north, z up, in metres) hangs on."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float

    def at(self, position: Array) -> "Place":
        """Return the place of a position in the world frame, over a few hundred metres of flat earth."""
        east, north, up = (float(value) for value in position)
        meridian = EARTH_RADIUS_M * np.cos(np.deg2rad(self.latitude_deg))
        return Place(
            latitude_deg=self.latitude_deg + float(np.rad2deg(north / EARTH_RADIUS_M)),
            longitude_deg=self.longitude_deg + float(np.rad2deg(east / meridian)),
            altitude_m=self.altitude_m + up,
        )


def exif_block(body: Body, *, taken_at: datetime, place: Place | None) -> Image.Exif:
    """Return the EXIF of a photo, ready for Pillow's ``save``."""
    block = Image.Exif()
    stamp = taken_at.strftime("%Y:%m:%d %H:%M:%S")
    block[ExifTags.Base.Make] = body.make
    block[ExifTags.Base.Model] = body.model
    block[ExifTags.Base.DateTime] = stamp
    block[ExifTags.Base.Orientation] = 1
    detail: dict[int, Any] = block.get_ifd(ExifTags.IFD.Exif)
    detail[ExifTags.Base.DateTimeOriginal] = stamp
    detail[ExifTags.Base.FocalLength] = IFDRational(round(body.focal_35mm / body.crop * 100), 100)
    detail[ExifTags.Base.FocalLengthIn35mmFilm] = body.focal_35mm
    if place is not None:
        gps: dict[int, Any] = block.get_ifd(ExifTags.IFD.GPSInfo)
        gps[ExifTags.GPS.GPSLatitudeRef] = "N" if place.latitude_deg >= 0 else "S"
        gps[ExifTags.GPS.GPSLatitude] = _sexagesimal(place.latitude_deg)
        gps[ExifTags.GPS.GPSLongitudeRef] = "E" if place.longitude_deg >= 0 else "W"
        gps[ExifTags.GPS.GPSLongitude] = _sexagesimal(place.longitude_deg)
        gps[ExifTags.GPS.GPSAltitudeRef] = b"\x00"
        gps[ExifTags.GPS.GPSAltitude] = IFDRational(round(place.altitude_m * 100), 100)
    return block


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Return degrees, minutes and seconds; a ten-thousandth of a second is 3 mm on the ground."""
    ticks = round(abs(degrees) * 3600 * 10_000)
    minutes, seconds = divmod(ticks, 600_000)
    return IFDRational(minutes // 60, 1), IFDRational(minutes % 60, 1), IFDRational(seconds, 10_000)
