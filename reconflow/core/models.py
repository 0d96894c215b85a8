"""A reconstructed model: cameras, poses and points of one connected part of a scene."""

from dataclasses import dataclass, field

import numpy as np

from reconflow.core.arrays import Array, checked
from reconflow.core.cameras import Camera, Pose


@dataclass(frozen=True)
class RegisteredImage:
    """One photo of a model."""

    name: str
    cam_from_world: Pose
    camera_id: int
    observations: int
    """Keypoints that see a triangulated point."""
    mean_error_px: float
    """Mean reprojection error of those keypoints, in pixels."""


@dataclass(frozen=True)
class Model:
    """What COLMAP made of a scene, or of one part of it where it fell into several.

    The world frame and its scale are arbitrary: photos alone do not tell either.
    """

    name: str
    """``cluster<i>_model<j>``."""
    images: dict[str, RegisteredImage]
    cameras: dict[int, Camera]
    points: Array
    """(N, 3) float64, in world units."""
    colors: Array
    """(N, 3) uint8: red, green, blue."""
    errors_px: Array
    """(N,) float32: mean reprojection error of each point."""
    track_lengths: Array
    """(N,) int32: photos that see each point."""
    unregistered: dict[str, str] = field(default_factory=dict[str, str])
    """Photos of the scene that are in no model, with the reason; the same for all models of a scene."""

    def __post_init__(self) -> None:
        def hold(name: str, shape: tuple[int | str, ...], dtype: object) -> None:
            object.__setattr__(self, name, checked(name, getattr(self, name), shape, dtype))

        hold("points", ("N", 3), np.float64)
        n = len(self.points)
        hold("colors", (n, 3), np.uint8)
        hold("errors_px", (n,), np.float32)
        hold("track_lengths", (n,), np.int32)

    @property
    def cam_from_world(self) -> dict[str, Pose]:
        """Pose of each registered photo, by name."""
        return {name: image.cam_from_world for name, image in self.images.items()}

    @property
    def cluster(self) -> int:
        """Number of the scene: the ``i`` of ``cluster<i>_model<j>``."""
        return int(self.name.removeprefix("cluster").partition("_")[0])
