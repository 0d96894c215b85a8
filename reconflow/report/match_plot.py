"""Two photos side by side with lines between what matches."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reconflow.core.arrays import Array

_GAP_PX = 8
_MOST_LINES = 200
"""More lines hide the photos; those drawn are spread evenly over all."""
_VERIFIED, _DROPPED = (76, 217, 100), (235, 87, 87)
_TITLE_PX = 16


def draw_matches(
    images: tuple[Array, Array], places: tuple[Array, Array], verified: Array, *, title: str, height_px: int
) -> Image.Image:
    """Return a picture of both photos with their matches.

    Parameters
    ----------
    images : two arrays
        (H, W, 3) uint8 RGB.
    places : two arrays
        (M, 2) pixels of each match in both photos, COLMAP's origin.
    verified : Array
        (M,) bool: which matches the geometry explains; the others are drawn below them, in red.
    title : str
        A line above the photos.
    height_px : int
        Height of the photos in the picture.

    """
    scales = [height_px / image.shape[0] for image in images]
    widths = [max(1, round(image.shape[1] * scale)) for image, scale in zip(images, scales, strict=True)]
    head = 2 * _TITLE_PX
    canvas = np.full((height_px + head, sum(widths) + _GAP_PX, 3), 255, np.uint8)
    lefts = (0, widths[0] + _GAP_PX)
    for image, left, width in zip(images, lefts, widths, strict=True):
        canvas[head:, left : left + width] = cv2.resize(image, (width, height_px), interpolation=cv2.INTER_AREA)
    first, second = (
        np.rint(place * scale + (left, head)).astype(int)
        for place, scale, left in zip(places, scales, lefts, strict=True)
    )
    drawn = _spread(np.arange(len(verified)))
    for rows, colour, thickness in ((drawn[~verified[drawn]], _DROPPED, 1), (drawn[verified[drawn]], _VERIFIED, 1)):
        for row in rows:
            start, end = tuple(map(int, first[row])), tuple(map(int, second[row]))
            cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA)
            for end_point in (start, end):
                cv2.circle(canvas, end_point, 2, colour, -1, cv2.LINE_AA)
    picture = Image.fromarray(canvas)
    font = ImageFont.load_default(_TITLE_PX)
    ImageDraw.Draw(picture).text((_GAP_PX, _TITLE_PX // 2 - 2), title, fill=(30, 30, 30), font=font)
    return picture


def _spread(rows: Array) -> Array:
    if len(rows) <= _MOST_LINES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_LINES).astype(int)]
