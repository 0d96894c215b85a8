"""Features of photos, kept by content: the same photo with the same settings is never extracted twice."""

from collections.abc import Iterable, Sequence

import numpy as np

from reconflow.config import ExtractConfig
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.store.keys import fingerprint
from reconflow.store.packs import Item, ItemRef, Packs, read_items
from reconflow.store.root import SCHEMA, Root

_FIELDS = ("keypoints", "descriptors", "colors")
"""Arrays of an item; ``keypoints`` is (N, 5) float32: x, y, scale in pixels, orientation in radians, score."""


def features_namespace(config: ExtractConfig, *, made_with: str) -> str:
    """Return the fingerprint of everything but the photo that decides its features."""
    return fingerprint("features", SCHEMA, config, made_with)


class FeatureStore:
    """Features made with one configuration, below one root."""

    def __init__(self, root: Root, namespace: str):
        self.root = root
        self._packs = Packs(root, f"features/{namespace[:32]}")

    def write(self, features: Sequence[tuple[ImageRecord, Features]]) -> dict[str, ItemRef]:
        """Publish one pack and return the place of each photo's features, by the photo's content."""
        items = {
            record.content: Item(record.content, _to_arrays(f), {"image_size": list(f.image_size)})
            for record, f in features
        }
        return dict(zip(items, self._packs.write(list(items.values())), strict=True))

    def index(self) -> dict[str, ItemRef]:
        """Return the place of all stored features, by the photo's content."""
        return {key: ref for key, (ref, _) in self._packs.index().items()}


def read_features(root: Root, refs: Iterable[ItemRef]) -> dict[ItemRef, Features]:
    """Return the features at ``refs``."""
    return {
        ref: _from_arrays(arrays["keypoints"], arrays["descriptors"], arrays["colors"], record["image_size"])
        for ref, (arrays, record) in read_items(root, refs, _FIELDS).items()
    }


def _to_arrays(f: Features) -> dict[str, np.ndarray]:
    table = np.column_stack([f.keypoints, f.scales, f.orientations, f.scores]).astype(np.float32)
    return {"keypoints": table, "descriptors": f.descriptors, "colors": f.colors}


def _from_arrays(table: np.ndarray, descriptors: np.ndarray, colors: np.ndarray, image_size: Sequence[int]) -> Features:
    return Features(
        keypoints=table[:, :2],
        scales=table[:, 2],
        orientations=table[:, 3],
        scores=table[:, 4],
        descriptors=descriptors,
        colors=colors,
        image_size=(image_size[0], image_size[1]),
    )
