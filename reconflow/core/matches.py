"""What two photos have in common: putative matches and the two-view geometry that verifies them."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from reconflow.core.arrays import Array, checked


@dataclass(frozen=True)
class Points:
    """Places in one photo that are nobody's keypoints; pixels as in ``Features``."""

    places: Array
    """(K, 2) float32: x, y in pixels of the raw raster."""
    colors: Array
    """(K, 3) uint8: red, green, blue."""
    raster_px: float = 0.0
    """Pixels of the photo in one of the reduced raster that the places were found in, where they lie on whole pixels of
    it: they are no more exact. 0 where they are as exact as keypoints."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", checked("places", self.places, ("K", 2), np.float32))
        object.__setattr__(self, "colors", checked("colors", self.colors, (len(self.places), 3), np.uint8))

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def none(cls) -> "Points":
        """No point at all."""
        return cls(np.zeros((0, 2), np.float32), np.zeros((0, 3), np.uint8))


@dataclass(frozen=True)
class Matches:
    """Putative matches of a pair.

    A dense matcher also matches places that are nobody's keypoints. They belong to the pair: row k of ``first`` has
    the index N + k, where N is the number of keypoints of the first photo, and likewise for ``second``.
    """

    indices: Array
    """(M, 2) int32: row of the keypoint in the first and in the second photo."""
    first: Points = field(default_factory=Points.none)
    """Points of the first photo that only this pair has."""
    second: Points = field(default_factory=Points.none)
    """Points of the second photo that only this pair has."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", checked("indices", self.indices, ("M", 2), np.int32))

    def __len__(self) -> int:
        return len(self.indices)

    def places(self, keypoints_a: Array, keypoints_b: Array) -> tuple[Array, Array]:
        """Return where each match lies in both photos, (M, 2) each, given the (N, 2) keypoints of both."""
        rows_a, rows_b = self.indices.T
        if len(self.first) == 0 and len(self.second) == 0:
            return keypoints_a[rows_a], keypoints_b[rows_b]
        all_a = np.concatenate([keypoints_a, self.first.places])
        return all_a[rows_a], np.concatenate([keypoints_b, self.second.places])[rows_b]

    @classmethod
    def none(cls) -> "Matches":
        """No match at all."""
        return cls(np.zeros((0, 2), np.int32))


@dataclass(frozen=True)
class TwoViewGeometry:
    """A verified pair: its inliers and the relation that explains them.

    ``configuration`` is COLMAP's word for the relation: ``CALIBRATED``, ``UNCALIBRATED``, ``PLANAR``, ``PANORAMIC``,
    ``PLANAR_OR_PANORAMIC``, … or ``UNDEFINED`` where too few matches agree.
    """

    configuration: str
    inliers: Array
    """(K, 2) int32: the inlier matches, rows of keypoints in both photos."""
    fundamental: Array
    """(3, 3) float64: x₂ᵀ F x₁ = 0 in pixels; zeros where it was not estimated."""
    essential: Array
    """(3, 3) float64, for normalised coordinates; zeros where it was not estimated."""
    homography: Array
    """(3, 3) float64; zeros where it was not estimated."""
    triangulation_angle_deg: float = 0.0
    """Median angle of the triangulated inliers; 0 where it is unknown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inliers", checked("inliers", self.inliers, ("K", 2), np.int32))
        for name in ("fundamental", "essential", "homography"):
            object.__setattr__(self, name, checked(name, getattr(self, name), (3, 3), np.float64))

    def __len__(self) -> int:
        return len(self.inliers)

    @classmethod
    def undefined(cls) -> "TwoViewGeometry":
        """No geometry: nothing agrees."""
        zeros = np.zeros((3, 3))
        return cls("UNDEFINED", np.zeros((0, 2), np.int32), zeros, zeros, zeros)


class PairSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the client needs to know of a matched pair; the arrays stay in the store."""

    first: str
    second: str
    putative: int
    inliers: int
    configuration: str
    verified: bool
    reason: str = ""
    """Why it is not verified, such as ``coarse pass: 1 match``; empty when it is."""
