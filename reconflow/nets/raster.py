"""Rasters on their way into a network and keypoints on their way back."""

import cv2
import numpy as np

from reconflow.core.arrays import Array
from reconflow.nets.threads import opencv_on_one_thread


def reduced(image: Array, long_edge_px: int) -> Array:
    """Return an (H, W) or (H, W, 3) uint8 ``image`` with a long edge of at most ``long_edge_px``, else as it is."""
    height, width = image.shape[:2]
    if max(height, width) <= long_edge_px:
        return image
    ratio = long_edge_px / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    with opencv_on_one_thread():
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def grey_of(image: Array) -> Array:
    """Return the (H, W) uint8 luma of an (H, W, 3) uint8 RGB raster."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def colors_at(image: Array, keypoints: Array) -> Array:
    """Return the (N, 3) uint8 colours of ``image`` at (N, 2) keypoints in its pixels, COLMAP's origin."""
    height, width = image.shape[:2]
    columns = np.clip(keypoints[:, 0].astype(np.int32), 0, width - 1)
    rows = np.clip(keypoints[:, 1].astype(np.int32), 0, height - 1)
    return image[rows, columns]
