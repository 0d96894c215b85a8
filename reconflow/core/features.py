"""Local features of one photo."""

from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array, checked


@dataclass(frozen=True)
class Features:
    """Keypoints of one photo with their descriptors, strongest first.

    Pixels follow COLMAP: the centre of the top-left pixel is (0.5, 0.5), in the raw raster of the file. Extractors
    convert from their own origin; nobody else does.
    """

    keypoints: Array
    """(N, 2) float32: x, y in pixels."""
    scales: Array
    """(N,) float32: keypoint size (SIFT's σ) in pixels of the raw raster."""
    orientations: Array
    """(N,) float32: radians, from x towards y."""
    scores: Array
    """(N,) float32: detector response; larger is stronger."""
    descriptors: Array
    """(N, D) uint8 or float16 or float32."""
    colors: Array
    """(N, 3) uint8: red, green, blue at the keypoint."""
    image_size: tuple[int, int]
    """Width and height of the raw raster in pixels."""

    def __post_init__(self) -> None:
        def hold(name: str, shape: tuple[int | str, ...], dtype: object) -> None:
            object.__setattr__(self, name, checked(name, getattr(self, name), shape, dtype))

        hold("keypoints", ("N", 2), np.float32)
        n = len(self.keypoints)
        for name in ("scales", "orientations", "scores"):
            hold(name, (n,), np.float32)
        hold("colors", (n, 3), np.uint8)
        kind = self.descriptors.dtype
        if kind not in (np.uint8, np.float16, np.float32):
            raise ValueError(f"descriptors must be uint8, float16 or float32, got {kind}")
        hold("descriptors", (n, "D"), kind)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __sizeof__(self) -> int:
        """Bytes of the arrays; Dask would count the object's 48."""
        return object.__sizeof__(self) + sum(
            array.nbytes
            for array in (
                self.keypoints,
                self.scales,
                self.orientations,
                self.scores,
                self.descriptors,
                self.colors,
            )
        )
