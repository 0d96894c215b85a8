"""A photo's pixels → its local features."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.turns import Turn
from reconflow.nets.extraction import extract_many
from reconflow.nets.protocols import Extractor


def extract_features(image: Array, *, config: ExtractConfig, extractor: Extractor, quarters: int = 0) -> Features:
    """Return the features of ``image``, an (H, W, 3) uint8 RGB raster, as the extractor sees it turned clockwise.

    Raises
    ------
    ValueError
        If ``image`` is no such array.

    """
    return extract_together([image], config=config, extractor=extractor, quarters=[quarters])[0]


def extract_together(
    images: Sequence[Array], *, config: ExtractConfig, extractor: Extractor, quarters: Sequence[int]
) -> list[Features]:
    """Return the features of each of several images, as :func:`extract_features` does; a network takes them together.

    Raises
    ------
    ValueError
        If one is no (H, W, 3) uint8 array.

    """
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != "uint8":
            raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    turns = [Turn(by, (image.shape[1], image.shape[0])) for image, by in zip(images, quarters, strict=True)]
    upright = [turn.image(image) for turn, image in zip(turns, images, strict=True)]
    found = extract_many(extractor, upright, config=config)
    return [_in_raw(own, turn) if turn.quarters else own for own, turn in zip(found, turns, strict=True)]


def _in_raw(found: Features, turn: Turn) -> Features:
    return replace(
        found,
        keypoints=turn.to_raw(found.keypoints),
        orientations=(found.orientations - turn.quarters * np.pi / 2).astype(np.float32),
        image_size=turn.size,
    )
