"""Rasters on their way into a network and keypoints on their way back."""

import cv2
import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.threads import opencv_on_one_thread


def resized(image: Array, long_edge_px: int, *, enlarge: float = 1.0) -> Array:
    """Return an (H, W) or (H, W, 3) uint8 ``image`` with a long edge of ``long_edge_px``.

    A larger one is reduced to it; a smaller one comes as near as ``enlarge`` times its size allows.
    """
    height, width = image.shape[:2]
    ratio = min(long_edge_px / max(height, width), enlarge)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    if size == (width, height):
        return image
    with opencv_on_one_thread():
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC)


def grey_of(image: Array) -> Array:
    """Return the (H, W) uint8 luma of an (H, W, 3) uint8 RGB raster."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def colors_at(image: Array, keypoints: Array) -> Array:
    """Return the (N, 3) uint8 colours of ``image`` at (N, 2) keypoints in its pixels, COLMAP's origin."""
    height, width = image.shape[:2]
    columns = np.clip(keypoints[:, 0].astype(np.int32), 0, width - 1)
    rows = np.clip(keypoints[:, 1].astype(np.int32), 0, height - 1)
    return image[rows, columns]


def features_in(image: Array, *, keypoints: Array, scores: Array, descriptors: Array, shrink: Array) -> Features:
    """Return what a network found as features of ``image``.

    Parameters
    ----------
    image : Array
        (H, W, 3) uint8: the photo itself.
    keypoints : Array
        (N, 2) in the network's raster, where the centre of the top-left pixel is (0, 0), strongest first.
    scores, descriptors : Array
        (N,) and (N, D); descriptors are kept as float16.
    shrink : Array
        (2,) pixels of the photo for one of the network's raster, along x and along y.

    """
    height, width = image.shape[:2]
    keypoints = ((keypoints + 0.5) * shrink).astype(np.float32)
    return Features(
        keypoints=keypoints,
        scales=np.full(len(keypoints), np.sqrt(shrink.prod()), np.float32),
        orientations=np.zeros(len(keypoints), np.float32),
        scores=scores,
        descriptors=descriptors.astype(np.float16),
        colors=colors_at(image, keypoints),
        image_size=(width, height),
    )


def has_contrast(image: Array, radius_px: int) -> Array:
    """Return for each pixel of an (H, W, 3) raster, as bool, whether anything at all is to be seen around it."""
    grey = grey_of(image)
    window = np.ones((2 * radius_px + 1, 2 * radius_px + 1), np.uint8)
    with opencv_on_one_thread():
        return cv2.dilate(grey, window) > cv2.erode(grey, window)
