"""Photos → the rasters MASt3R was trained on, and places in them → places in the photo."""

import cv2

from reconflow.core.arrays import Array
from reconflow.core.encodings import Frame
from reconflow.nets.mast3r.model import PATCH
from reconflow.nets.threads import opencv_on_one_thread

LONG_EDGE_PX = 512


def frame_of(width: int, height: int, *, long_edge_px: int = LONG_EDGE_PX) -> Frame:
    """Return how a photo is scaled to a long edge of 512 and cropped in the middle to multiples of 16.

    A photo so narrow that less than a token would be left of it is stretched to one.

    >>> frame_of(4000, 3000).size, frame_of(300, 400).size, frame_of(1000, 10).size
    ((512, 384), (384, 512), (512, 16))
    """
    scaled = _scaled(width, height, long_edge_px)
    cropped = (scaled[0] // PATCH * PATCH, scaled[1] // PATCH * PATCH)
    left, top = ((whole - kept) // 2 for whole, kept in zip(scaled, cropped, strict=True))
    return Frame(size=cropped, scale=(width / scaled[0], height / scaled[1]), offset=(float(left), float(top)))


def framed(image: Array, frame: Frame) -> Array:
    """Return the (H, W, 3) uint8 raster of an RGB photo in its frame."""
    height, width = image.shape[:2]
    size = (round(width / frame.scale[0]), round(height / frame.scale[1]))
    interpolation = cv2.INTER_AREA if width >= size[0] else cv2.INTER_CUBIC
    with opencv_on_one_thread():
        scaled = cv2.resize(image, size, interpolation=interpolation)
    left, top = (int(offset) for offset in frame.offset)
    return scaled[top : top + frame.size[1], left : left + frame.size[0]]


def _scaled(width: int, height: int, long_edge_px: int) -> tuple[int, int]:
    ratio = long_edge_px / max(width, height)
    return max(PATCH, round(width * ratio)), max(PATCH, round(height * ratio))
