"""Intrinsics and poses."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from reconflow.core.arrays import Array, checked

CAMERA_PARAMETERS: dict[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
"""COLMAP's camera models that reconflow offers, with the names of their parameters in order."""


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """A COLMAP camera model with its parameters in pixels; the centre of the top-left pixel is (0.5, 0.5)."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]
    has_prior_focal: bool = False

    def __post_init__(self) -> None:
        wanted = CAMERA_PARAMETERS.get(self.model)
        if wanted is None:
            raise ValueError(f"camera model must be one of {', '.join(CAMERA_PARAMETERS)}, got {self.model}")
        if len(self.params) != len(wanted):
            raise ValueError(f"{self.model} takes {len(wanted)} parameters {wanted}, got {len(self.params)}")

    @classmethod
    def from_focal(cls, model: str, width: int, height: int, focal_px: float, *, prior: bool) -> "Camera":
        """Return a camera with a centred principal point and no distortion.

        >>> Camera.from_focal("SIMPLE_RADIAL", 640, 480, 700.0, prior=True).params
        (700.0, 320.0, 240.0, 0.0)
        """
        start = {"cx": width / 2, "cy": height / 2, "f": focal_px, "fx": focal_px, "fy": focal_px}
        params = tuple(start.get(name, 0.0) for name in CAMERA_PARAMETERS[model])
        return cls(model=model, width=width, height=height, params=params, has_prior_focal=prior)

    def to_colmap(self) -> Any:
        """Return the same camera as a ``pycolmap.Camera``."""
        import pycolmap

        camera = pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))
        camera.has_prior_focal_length = self.has_prior_focal
        return camera

    @classmethod
    def from_colmap(cls, camera: Any) -> "Camera":
        """Return a ``pycolmap.Camera`` as a value."""
        return cls(
            model=camera.model.name,
            width=camera.width,
            height=camera.height,
            params=tuple(float(value) for value in camera.params),
            has_prior_focal=bool(camera.has_prior_focal_length),
        )

    @property
    def focal_px(self) -> float:
        """Focal length in pixels (the mean of both axes where they differ)."""
        names = CAMERA_PARAMETERS[self.model]
        return float(np.mean([v for name, v in zip(names, self.params, strict=True) if name in ("f", "fx", "fy")]))


@dataclass(frozen=True)
class Pose:
    """World to camera: ``x_cam = rotation @ x_world + translation``, camera x right, y down, z forward."""

    rotation: Array
    """(3, 3) float64."""
    translation: Array
    """(3,) float64, in world units."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rotation", checked("rotation", self.rotation, (3, 3), np.float64))
        object.__setattr__(self, "translation", checked("translation", self.translation, (3,), np.float64))

    @property
    def center_in_world(self) -> Array:
        """Camera centre C = −Rᵀ t, shape (3,)."""
        return -self.rotation.T @ self.translation

    @property
    def matrix(self) -> Array:
        """[R | t], shape (3, 4)."""
        return np.column_stack([self.rotation, self.translation])
