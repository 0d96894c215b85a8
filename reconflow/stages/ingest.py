"""Photos → image records: size, hash, EXIF and the statistics that drift monitoring compares."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from reconflow.config import IngestConfig
from reconflow.core.arrays import Array
from reconflow.core.images import (
    FILM_DIAGONAL_MM,
    IMAGE_SUFFIXES,
    Exif,
    ImageRecord,
    ImageStats,
    Unreadable,
)
from reconflow.core.photo_files import opened_photo
from reconflow.errors import InputError, NoImagesError

_STATS_EDGE_PX = 512
_IGNORED = frozenset({"__MACOSX"})


def list_photos(folder: Path) -> list[tuple[str, Path]]:
    """Return the name (relative path with forward slashes) and path of every photo below ``folder``, sorted by name.

    Hidden files and folders are passed over, and so are links that lead out of the folder. A name that is not UTF-8 is
    given with escapes, so that it can be written; such a file is not read, see :func:`ingest_image`.

    Raises
    ------
    NoImagesError
        If there is none.

    """
    home = folder.resolve()
    found: list[tuple[str, Path]] = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part in _IGNORED for part in name.parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file():
            inside = path.resolve().is_relative_to(home)
            if inside or path.parent.resolve().is_relative_to(home):
                found.append((_writable(name.as_posix()), path))
    if not found:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise NoImagesError(f"{folder} holds no photo ({endings})")
    return sorted(found)


def _writable(name: str) -> str:
    r"""Return a name as it is, or with escapes for bytes that are not UTF-8.

    >>> _writable("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_image(path: str | Path) -> Array:
    """Return the raw raster of a photo as (H, W, 3) uint8 RGB; the EXIF orientation is not applied.

    Raises
    ------
    InputError
        If the file is not an image, is cut short or is too large to decode.

    """
    with opened_photo(Path(path)) as image:
        try:
            return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"cannot be decoded: {error}", item=str(path)) from error


def ingest_image(name: str, path: Path, *, config: IngestConfig) -> ImageRecord | Unreadable:
    """Return the record of one photo, or why it cannot be used.

    A path that is not UTF-8 is no record, since no file of ours could say where the photo is.
    The pixel count is checked from the header before anything is decoded, and the whole photo is decoded once, so
    that a file cut short is found here and not in the middle of a run.
    """
    if not _is_utf8(path):
        return Unreadable(name=name, reason="cannot be used: its name, or that of a folder above, is not UTF-8")
    try:
        sha256 = _sha256(path)
        with opened_photo(path, max_megapixels=config.max_megapixels) as image:
            width, height = image.size
            if min(width, height) < 16:
                return Unreadable(name=name, reason=f"{width} × {height} is too small")
            tags = _exif_tags(image)
            # Must come before decoding: draft mode lets a JPEG decode at 1/2, 1/4 or 1/8 of its size.
            image.draft("RGB", (_STATS_EDGE_PX, _STATS_EDGE_PX))
            pixels = _small(image)
    except InputError as error:
        return Unreadable(name=name, reason=error.message)
    except OSError as error:
        return Unreadable(name=name, reason=f"cannot be read: {error.strerror or error}")
    except (ValueError, SyntaxError) as error:
        return Unreadable(name=name, reason=f"cannot be decoded: {error}")
    exif = _exif(tags)
    return ImageRecord(
        name=name,
        path=str(path.absolute()),
        sha256=sha256,
        width=width,
        height=height,
        orientation=_orientation(tags),
        exif=exif,
        focal_prior_px=_focal_prior_px(path, exif, width, height),
        stats=image_stats(pixels),
    )


def _is_utf8(path: Path) -> bool:
    """Tell whether a path as the file system gives it holds no byte that could not be decoded."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _focal_prior_px(path: Path, exif: Exif, width: int, height: int) -> float | None:
    """Return the focal length in pixels from the 35 mm equivalent, else from COLMAP's table of sensor widths.

    An angle of view that no lens has is taken for a wrong tag.
    """
    focal_px = None
    if exif.focal_35mm is not None:
        focal_px = exif.focal_35mm / FILM_DIAGONAL_MM * (width**2 + height**2) ** 0.5
    elif exif.focal_mm is not None and exif.model is not None:
        import pycolmap

        camera = pycolmap.infer_camera_from_image(str(path))
        focal_px = camera.mean_focal_length() if camera.has_prior_focal_length else None
    long_edge = max(width, height)
    return focal_px if focal_px is not None and 0.2 * long_edge < focal_px < 30 * long_edge else None


def image_stats(rgb: Array) -> ImageStats:
    """Return the appearance of an (H, W, 3) uint8 photo; levels are on 0 to 1, entropy is in bits."""
    import cv2

    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    level = gray.astype(np.float32) / 255
    laplacian = cv2.Laplacian(level, cv2.CV_32F)
    histogram = np.bincount(gray.ravel(), minlength=256) / gray.size
    present = histogram[histogram > 0]
    # Immerkær's estimate: a mask that cancels constant, linear and quadratic image structure.
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = np.abs(cv2.filter2D(level, cv2.CV_32F, mask)).mean() * np.sqrt(np.pi / 2) / 6
    saturation = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[:, :, 1]
    return ImageStats(
        brightness=float(level.mean()),
        contrast=float(level.std()),
        saturation=float(saturation.mean() / 255),
        sharpness=float(np.log(laplacian.var() + 1e-12)),
        noise=float(noise),
        clipping=float(histogram[:3].sum() + histogram[253:].sum()),
        entropy=float(-(present * np.log2(present)).sum()),
    )


def _small(image: Image.Image) -> Array:
    import cv2

    pixels = np.asarray(image.convert("RGB"))
    scale = _STATS_EDGE_PX / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _exif_tags(image: Image.Image) -> dict[int, Any]:
    """Return main, Exif and GPS tags in one dictionary; GPS tag numbers are kept apart by an offset."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = image.getexif()
            gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
            return {**exif, **exif.get_ifd(ExifTags.IFD.Exif), **{_GPS + tag: value for tag, value in gps.items()}}
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, AttributeError):
        return {}  # a damaged EXIF block costs its hints, never the photo


_GPS = 1 << 20


def _orientation(tags: dict[int, Any]) -> int:
    value = tags.get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif(tags: dict[int, Any]) -> Exif:
    return Exif(
        make=_text(tags.get(ExifTags.Base.Make)),
        model=_text(tags.get(ExifTags.Base.Model)),
        lens=_text(tags.get(ExifTags.Base.LensModel)),
        focal_mm=_positive(tags.get(ExifTags.Base.FocalLength)),
        focal_35mm=_positive(tags.get(ExifTags.Base.FocalLengthIn35mmFilm)),
        taken_at=_text(tags.get(ExifTags.Base.DateTimeOriginal)) or _text(tags.get(ExifTags.Base.DateTime)),
        latitude_deg=_degrees(tags, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S", 90),
        longitude_deg=_degrees(tags, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W", 180),
        altitude_m=_number(tags.get(_GPS + ExifTags.GPS.GPSAltitude)),
    )


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return (value.strip(" \0") or None) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _degrees(tags: dict[int, Any], tag: int, ref: int, negative: str, limit: float) -> float | None:
    parts = tags.get(_GPS + tag)
    if not isinstance(parts, (tuple, list)) or len(parts) != 3:
        return None
    numbers = [_number(part) for part in parts]
    if any(number is None for number in numbers):
        return None
    value = sum(float(n or 0) / unit for n, unit in zip(numbers, (1, 60, 3600), strict=True))
    value = -value if _text(tags.get(_GPS + ref)) == negative else value
    return value if abs(value) <= limit else None
