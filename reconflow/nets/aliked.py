"""ALIKED: keypoints and descriptors of a light network with deformable convolutions.

Zhao et al., "ALIKED: A Lighter Keypoint and Descriptor Extraction Network via Deformable Transformation", IEEE TIM
2023. ``aliked-n16rot`` was trained with turned photos, the others are for upright ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from kornia.feature import ALIKED

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import fill_module, load_tensors
from reconflow.nets.devices import models, on_device, spares_memory, torch_device
from reconflow.nets.lean_aliked import LeanAliked
from reconflow.nets.raster import features_in, has_contrast, resized
from reconflow.nets.weights import obtain_weights, sha256_of, weights_fingerprint

_THRESHOLD = 0.2
_SMALLEST_PX = 8
"""Nothing of a thinner strip is far enough from its border."""
_CONTRAST_RADIUS_PX = 8


@dataclass(frozen=True)
class Aliked:
    """ALIKED on the device at hand; the network is loaded by the first photo.

    Parameters
    ----------
    name : str
        Which of the four: ``aliked-t16``, ``aliked-n16``, ``aliked-n16rot`` or ``aliked-n32``.
    threshold : float
        Least score of a keypoint.

    """

    name: str
    threshold: float = _THRESHOLD

    @property
    def made_with(self) -> str:
        """Revision, libraries, and the weights by their hash."""
        libraries = f"torch {version('torch')}, kornia {version('kornia')}"
        return f"aliked 1, {libraries}, weights {weights_fingerprint(weights_named(self.name))}"

    @spares_memory
    def extract(self, image: Array, *, config: ExtractConfig) -> Features:
        """Return the strongest keypoints of ``image`` in its own pixels; parts without any contrast have none."""
        return self.extract_batch([image], config=config)[0]

    def extract_batch(self, images: Sequence[Array], *, config: ExtractConfig) -> list[Features]:
        """Return what ``extract`` does of each of several rasters of one size."""
        rasters = [resized(image, config.long_edge_px, enlarge=config.enlarge) for image in images]
        height, width = rasters[0].shape[:2]
        shrink = np.array([images[0].shape[1] / width, images[0].shape[0] / height], np.float32)
        network = _network(self.name, obtain_weights(weights_named(self.name)), torch_device())
        if min(height, width) < _SMALLEST_PX:
            nothing = np.zeros((0, network.width), np.float16)
            return [
                features_in(image, keypoints=nothing[:, :2], scores=nothing[:, 0], descriptors=nothing, shrink=shrink)
                for image in images
            ]
        device = torch_device()
        with torch.inference_mode():
            pixels = on_device(np.stack(rasters), device).permute(0, 3, 1, 2).float() / 255
            allowed = [on_device(has_contrast(raster, _CONTRAST_RADIUS_PX), device) for raster in rasters]
            found = network.batch(pixels, threshold=self.threshold, at_most=config.max_keypoints, allowed=allowed)
        return [own.features_of(image, shrink=shrink) for image, own in zip(images, found, strict=True)]


def _network(name: str, path: Path, device: torch.device) -> LeanAliked:
    def make() -> LeanAliked:
        model = ALIKED(name)
        fill_module(model, load_tensors(path), path=path, derived=("dkd.hw_grid",))
        return LeanAliked(model.to(device))

    return models().get((name, sha256_of(path), device), make)
