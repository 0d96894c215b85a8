"""XFeat: very fast keypoints and descriptors for upright photos.

Potje, Cadar, Araujo, Martins and Nascimento, "XFeat: Accelerated Features for Lightweight Image Matching", CVPR 2024.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from kornia.feature import XFeat
from torch import Tensor

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import fill_module, load_tensors
from reconflow.nets.devices import models, on_device, spares_memory, torch_device
from reconflow.nets.raster import features_in, has_contrast, resized
from reconflow.nets.weights import obtain_weights, sha256_of, weights_fingerprint

_STEP = 32
_CONTRAST_RADIUS_PX = 8


@dataclass(frozen=True)
class XFeatExtractor:
    """XFeat on the device at hand; the network is loaded by the first photo."""

    name: str = "xfeat"

    @property
    def made_with(self) -> str:
        """Revision, libraries, and the weights by their hash."""
        libraries = f"torch {version('torch')}, kornia {version('kornia')}"
        return f"xfeat 1, {libraries}, weights {weights_fingerprint(weights_named(self.name))}"

    @spares_memory
    def extract(self, image: Array, *, config: ExtractConfig) -> Features:
        """Return the strongest keypoints of ``image`` in its own pixels; parts without any contrast have none."""
        return self.extract_batch([image], config=config)[0]

    def extract_batch(self, images: Sequence[Array], *, config: ExtractConfig) -> list[Features]:
        """Return what ``extract`` does of each of several rasters of one size."""
        rasters = [resized(image, config.long_edge_px, enlarge=config.enlarge) for image in images]
        device = torch_device()
        model = _network(obtain_weights(weights_named(self.name)), device)
        with torch.inference_mode():
            pixels = on_device(np.stack(rasters), device).permute(0, 3, 1, 2).float() / 255
            found = model.detectAndCompute(pixels, top_k=config.max_keypoints)
        return [_features(*own) for own in zip(images, rasters, found, strict=True)]


def _features(image: Array, raster: Array, found: Mapping[str, Tensor]) -> Features:
    """Return what kornia's module found in a raster as features of its photo."""
    height, width = raster.shape[:2]
    # kornia resizes to multiples of 32 and scales pixel numbers back by the ratio, which moves their centres.
    inner = np.array([max(_STEP, side // _STEP * _STEP) for side in (width, height)], np.float32)
    keypoints = found["keypoints"].cpu().numpy() * (inner / (width, height))
    shrink = np.array(image.shape[1::-1], np.float32) / inner
    columns, rows = ((keypoints + 0.5) * np.array([width, height]) / inner).astype(int).T
    seen = has_contrast(raster, _CONTRAST_RADIUS_PX)[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return features_in(
        image,
        keypoints=keypoints[seen],
        scores=found["scores"].cpu().numpy()[seen],
        descriptors=found["descriptors"].cpu().numpy()[seen],
        shrink=shrink,
    )


def _network(path: Path, device: torch.device) -> XFeat:
    def make() -> XFeat:
        model = XFeat()
        fill_module(model.net, load_tensors(path), path=path)
        return model.eval().to(device)

    return models().get(("xfeat", sha256_of(path), device), make)
