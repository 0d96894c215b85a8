"""The values a finished run is told with."""

from typing import Literal

import msgspec

IMAGE_COLUMNS = ("image", "status", "cluster", "observations", "mean_reprojection_error_px", "reason")
"""Columns of images.csv."""

Status = Literal["registered", "unregistered", "outlier", "unreadable"]


class ImageFate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file of the input."""

    name: str
    status: Status
    cluster: int | None = None
    """The scene it stands in; ``None`` for outliers and unreadable files."""
    model: str | None = None
    """The model it is registered in; of several, the one with most photos."""
    observations: int = 0
    """Keypoints that see a triangulated point."""
    mean_reprojection_error_px: float | None = None
    verified_neighbours: int = 0
    """Photos it shares a verified two-view geometry with."""
    width: int = 0
    height: int = 0
    orientation: int = 1
    """EXIF tag, for display."""
    reason: str = ""
    """Why it is not registered; empty when it is."""


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model in numbers."""

    name: str
    cluster: int
    n_images: int
    n_points: int
    n_observations: int
    mean_track_length: float
    mean_reprojection_error_px: float
    """Mean over points, as COLMAP gives it; 0 where there is no point."""


class WeakLink(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that much of a scene hangs on."""

    first: str
    second: str
    cluster: int
    inliers: int
    severs: int
    """Photos on the smaller side of the link."""
    only_link: bool
    """True where no other verified pair joins the two sides, False where others do, none of them stronger."""


class Insights(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run, told to a person."""

    n_images: int
    """Files of the input, the unreadable ones included."""
    n_readable: int
    n_registered: int
    registration_rate: float
    """Registered / readable; 0 where nothing is readable."""
    n_points: int
    mean_track_length: float | None
    mean_reprojection_error_px: float | None
    track_length_histogram: dict[str, int]
    """Points by the number of photos that see them: ``"2"`` … ``"9"``, ``"10+"``."""
    n_pairs: int
    n_verified_pairs: int
    images: tuple[ImageFate, ...]
    models: tuple[ModelSummary, ...]
    weak_links: tuple[WeakLink, ...]
    warnings: tuple[str, ...]
    recommendations: tuple[str, ...]
    methods: str = ""
    """Extractors and matchers, such as ``sift+adalam``."""
    timings_s: dict[str, float]
    reused: dict[str, int]
    """Items each stage took from the store instead of computing them."""

    @property
    def lost(self) -> tuple[ImageFate, ...]:
        """Every file that is in no model."""
        return tuple(fate for fate in self.images if fate.status != "registered")


def image_table(facts: Insights) -> list[tuple[str | int | float, ...]]:
    """Return a row per file, in the order of :data:`IMAGE_COLUMNS`; what does not apply is an empty string."""
    return [
        (
            fate.name,
            fate.status,
            "" if fate.cluster is None else fate.cluster,
            fate.observations,
            "" if fate.mean_reprojection_error_px is None else round(fate.mean_reprojection_error_px, 4),
            fate.reason,
        )
        for fate in facts.images
    ]
