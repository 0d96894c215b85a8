"""What a network finds in a raster, still on its device."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.raster import features_in


class Found(NamedTuple):
    """Keypoints of a raster, strongest first."""

    keypoints: Tensor
    """(N, 2) x, y; the centre of the top-left pixel is (0, 0)."""
    scores: Tensor
    """(N,) from 0 to 1."""
    descriptors: Tensor
    """(N, D) unit vectors."""

    def features_of(self, image: Array, *, shrink: Array) -> Features:
        """Return what was found as features of the photo ``image``, as :func:`~reconflow.nets.raster.features_in`."""
        return features_in(
            image,
            keypoints=self.keypoints.cpu().numpy().astype(np.float32),
            scores=self.scores.cpu().numpy(),
            descriptors=self.descriptors.cpu().numpy(),
            shrink=shrink,
        )
