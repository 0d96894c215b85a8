"""Small JPEGs of photos, upright, for pages."""

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reconflow.core.photo_files import opened_photo
from reconflow.errors import InputError

_QUALITY = 78
_GREY = (148, 155, 166)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SHRINKING_EDGES_PX = (112, 80, 56, 40)


def thumbnail(path: str | os.PathLike[str], *, orientation: int = 1, long_edge_px: int = 160) -> bytes:
    """Return a JPEG of a photo as a person holds it: its EXIF ``orientation`` (1 to 8) is applied.

    Never larger than the photo itself. A file that cannot be decoded gives a neutral picture of the same long edge,
    because a page has a place for every photo of the input, the broken ones included.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken EXIF blocks were judged when the photo was read
            with opened_photo(Path(path)) as image:
                # Lets a JPEG decode at 1/2, 1/4 or 1/8 of its size; twice the edge keeps the reduction sharp.
                image.draft("RGB", (2 * long_edge_px, 2 * long_edge_px))
                small = _rgb(image)
    except (InputError, OSError, ValueError, SyntaxError):
        return placeholder(long_edge_px)
    small.thumbnail((long_edge_px, long_edge_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    turn = _UPRIGHT.get(orientation)
    return _jpeg(small if turn is None else small.transpose(turn))


def placeholder(long_edge_px: int = 160) -> bytes:
    """Return the neutral picture that stands for a photo nobody can see."""
    width, height = long_edge_px, max(1, long_edge_px * 3 // 4)
    image = Image.new("RGB", (width, height), (232, 235, 240))
    draw = ImageDraw.Draw(image)
    w, h, line = width / 8, height / 8, max(1, long_edge_px // 60)
    draw.rounded_rectangle((2 * w, 2 * h, 6 * w, 6 * h), radius=line * 2, outline=_GREY, width=line)
    draw.line((2 * w, 6 * h, 6 * w, 2 * h), fill=_GREY, width=line)
    return _jpeg(image)


def within_budget(thumbnails: Mapping[str, bytes], *, budget_bytes: int) -> dict[str, bytes]:
    """Return the thumbnails so small that together they fit, keeping as many of their pixels as that allows.

    They are all reduced by the same steps; where even the smallest step does not do, the last names go without.
    """
    fitting = dict(sorted(thumbnails.items()))
    for edge_px in _SHRINKING_EDGES_PX:
        if sum(map(len, fitting.values())) <= budget_bytes:
            return fitting
        fitting = {name: shrunk(content, edge_px) for name, content in fitting.items()}
    kept: dict[str, bytes] = {}
    for name, content in fitting.items():
        budget_bytes -= len(content)
        if budget_bytes < 0:
            break
        kept[name] = content
    return kept


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels = np.asarray(image, dtype=np.float64)
        low, high = float(levels.min()), float(levels.max())
        return Image.fromarray(((levels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def shrunk(content: bytes, edge_px: int) -> bytes:
    """Return a JPEG reduced to a long edge of ``edge_px``."""
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB")
    small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    return _jpeg(small)


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
