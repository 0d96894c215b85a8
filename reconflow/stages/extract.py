"""A photo's pixels → its local features."""

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.protocols import Extractor


def extract_features(image: Array, *, config: ExtractConfig, extractor: Extractor) -> Features:
    """Return the features of ``image``, an (H, W, 3) uint8 RGB raster.

    Raises
    ------
    ValueError
        If ``image`` is no such array.

    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != "uint8":
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    return extractor.extract(image, config=config)
