"""Which photos show the same place."""

import msgspec

FEWEST_IMAGES = 3
"""Readable photos that a reconstruction needs."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Photos that the view graph connects, to be mapped together; names in order."""

    id: int
    images: tuple[str, ...]


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The photos of a run, divided: each stands in exactly one scene or among the outliers."""

    scenes: tuple[Scene, ...]
    outliers: dict[str, str]
    """Name → why it belongs to no scene."""
    cut_bridges: tuple[tuple[str, str, int], ...] = ()
    """Pairs that were cut as weak bridges between scenes, with their inliers."""
