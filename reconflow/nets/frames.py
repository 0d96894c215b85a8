"""Photos → the rasters that encoders look at, and places in them → places in the photo."""

import cv2

from reconflow.core.arrays import Array
from reconflow.core.encodings import Frame
from reconflow.nets.threads import opencv_on_one_thread


def frame_of(width: int, height: int, *, long_edge_px: int, patch_px: int) -> Frame:
    """Return how a photo is scaled to a long edge and cropped in the middle to whole patches.

    A photo so narrow that less than a patch would be left of it is stretched to one.

    >>> [frame_of(*size, long_edge_px=512, patch_px=16).size for size in ((4000, 3000), (300, 400), (1000, 10))]
    [(512, 384), (384, 512), (512, 16)]
    """
    ratio = long_edge_px / max(width, height)
    scaled = max(patch_px, round(width * ratio)), max(patch_px, round(height * ratio))
    cropped = (scaled[0] // patch_px * patch_px, scaled[1] // patch_px * patch_px)
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
