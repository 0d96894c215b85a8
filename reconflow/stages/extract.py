"""A photo's pixels → its local features."""

from dataclasses import replace

import numpy as np

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.turns import Turn
from reconflow.nets.protocols import Extractor


def extract_features(image: Array, *, config: ExtractConfig, extractor: Extractor, quarters: int = 0) -> Features:
    """Return the features of ``image``, an (H, W, 3) uint8 RGB raster, as the extractor sees it turned clockwise.

    Raises
    ------
    ValueError
        If ``image`` is no such array.

    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != "uint8":
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    turn = Turn(quarters, (image.shape[1], image.shape[0]))
    found = extractor.extract(turn.image(image), config=config)
    return _in_raw(found, turn) if quarters else found


def _in_raw(found: Features, turn: Turn) -> Features:
    return replace(
        found,
        keypoints=turn.to_raw(found.keypoints),
        orientations=(found.orientations - turn.quarters * np.pi / 2).astype(np.float32),
        image_size=turn.size,
    )
