"""SIFT features with OpenCV, described as RootSIFT.

Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004; Arandjelović and Zisserman, "Three things
everyone should know to improve object retrieval", CVPR 2012.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.raster import colors_at, grey_of, resized
from reconflow.nets.threads import opencv_on_one_thread

_LAYERS = 3
_WIDTH = 128
_CANDIDATES = 1.5
"""Keypoints described for each one kept."""


@dataclass(frozen=True)
class Sift:
    """OpenCV's SIFT: the strongest keypoints, RootSIFT descriptors as uint8.

    A place with several dominant orientations gives several keypoints that share their coordinates. The score is
    response × scale: the response alone prefers small keypoints, which are the first to vanish when the viewpoint
    moves. ``contrast_threshold`` is the smallest response kept, for grey values from 0 to 1, as in COLMAP.
    """

    name: str = "sift"
    made_with: str = f"sift 1, opencv {cv2.__version__}"

    def extract(self, image: Array, *, config: ExtractConfig) -> Features:
        """Return the strongest keypoints of ``image``, an (H, W, 3) uint8 RGB raster, in that raster's pixels."""
        height, width = image.shape[:2]
        grey = resized(grey_of(image), config.long_edge_px)
        detector = cv2.SIFT.create(
            nfeatures=round(_CANDIDATES * config.max_keypoints),
            nOctaveLayers=_LAYERS,
            contrastThreshold=config.contrast_threshold * _LAYERS,
            edgeThreshold=config.edge_threshold,
            enable_precise_upscale=True,
        )
        with opencv_on_one_thread():
            found, raw = detector.detectAndCompute(grey, None)
        if not found:
            return _features(np.zeros((0, 5), np.float32), np.zeros((0, _WIDTH), np.uint8), image)
        table = np.array([(*k.pt, k.size, k.angle, k.response) for k in found], np.float32)
        table[:, 4] *= table[:, 2]
        x, y, _, angle, score = table.T
        order = np.lexsort((angle, x, y, -score))[: config.max_keypoints]
        table = table[order]
        # OpenCV puts the centre of the top-left pixel at (0, 0), and calls the diameter the size.
        shrink = np.array([width / grey.shape[1], height / grey.shape[0]], np.float32)
        table[:, :2] = (table[:, :2] + 0.5) * shrink
        table[:, 2] *= 0.5 * float(np.sqrt(shrink.prod()))
        return _features(table, root_sift(raw[order]), image)


def root_sift(descriptors: Array) -> Array:
    """Return (N, 128) non-negative descriptors as uint8 RootSIFT: the square roots of shares of one, times 512.

    >>> root_sift(np.array([[4.0, 0.0, 12.0, 0.0]]))
    array([[255,   0, 255,   0]], dtype=uint8)
    """
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), np.float32(1e-12))
    roots = np.sqrt(descriptors / total)
    return np.clip(np.rint(512.0 * roots), 0, 255).astype(np.uint8)


def _features(table: Array, descriptors: Array, image: Array) -> Features:
    """Pack rows of x, y, scale, angle in degrees and score."""
    height, width = image.shape[:2]
    return Features(
        keypoints=table[:, :2],
        scales=table[:, 2],
        orientations=np.deg2rad(table[:, 3]),
        scores=table[:, 4],
        descriptors=descriptors,
        colors=colors_at(image, table[:, :2]),
        image_size=(width, height),
    )
