"""What the mapper is given: photos with their keypoints, and verified pairs of them."""

from dataclasses import dataclass, field

import numpy as np

from reconflow.core.arrays import Array, checked
from reconflow.core.cameras import Camera
from reconflow.core.matches import Points, TwoViewGeometry


@dataclass(frozen=True)
class View:
    """A photo to be placed. Views of equal ``camera_id`` share intrinsics."""

    name: str
    camera_id: int
    camera: Camera
    keypoints: Array
    """(N, 2) float32, in pixels."""
    colors: Array
    """(N, 3) uint8: red, green, blue at each keypoint."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keypoints", checked("keypoints", self.keypoints, ("N", 2), np.float32))
        object.__setattr__(self, "colors", checked("colors", self.colors, (len(self.keypoints), 3), np.uint8))


@dataclass(frozen=True)
class ViewPair:
    """A verified pair, by the position of both views in their list."""

    first: int
    second: int
    geometry: TwoViewGeometry
    first_points: Points = field(default_factory=Points.none)
    """Places of the first photo that only this pair has: their indices follow the keypoints'."""
    second_points: Points = field(default_factory=Points.none)
