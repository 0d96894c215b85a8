"""Encodings of photos, kept by content beside their features: a photo is encoded once for all its pairs and runs."""

from collections.abc import Iterable, Sequence
from typing import Any

from reconflow.core.encodings import Encoding, Frame
from reconflow.core.images import ImageRecord
from reconflow.core.turns import Turn
from reconflow.store.keys import fingerprint
from reconflow.store.packs import Item, ItemRef, Packs, read_items
from reconflow.store.root import SCHEMA, Root

_FIELDS = ("tokens", "colors")
"""Arrays of an item: (T, C) float16 and (h·w, 3) uint8."""


def encodings_namespace(made_with: str) -> str:
    """Return the fingerprint of everything but the photo that decides its encoding."""
    return fingerprint("encodings", SCHEMA, made_with)


class EncodingStore:
    """Encodings made by one encoder, below one root."""

    def __init__(self, root: Root, namespace: str):
        self._packs = Packs(root, f"encodings/{namespace[:32]}")

    def write(self, encodings: Sequence[tuple[ImageRecord, Encoding]]) -> dict[str, ItemRef]:
        """Publish one pack and return the place of each photo's encoding, by the photo's content."""
        items = {record.content: _to_item(record.content, encoding) for record, encoding in encodings}
        return dict(zip(items, self._packs.write(list(items.values())), strict=True))

    def index(self) -> dict[str, ItemRef]:
        """Return the place of all stored encodings, by the photo's content."""
        return {key: ref for key, (ref, _) in self._packs.index().items()}


def read_encodings(root: Root, refs: Iterable[ItemRef]) -> dict[ItemRef, Encoding]:
    """Return the encodings at ``refs``."""
    found: dict[ItemRef, Encoding] = {}
    for ref, (arrays, record) in read_items(root, refs, _FIELDS).items():
        size, scale, offset = ((record[name][0], record[name][1]) for name in ("size", "scale", "offset"))
        quarters, (width, height) = record.get("turn", (0, (0, 0)))
        frame = Frame(size, scale, offset, Turn(quarters, (width, height)) if quarters else None)
        colors = arrays["colors"].reshape(record["colors"])
        found[ref] = Encoding(arrays["tokens"], (record["grid"][0], record["grid"][1]), colors, frame)
    return found


def _to_item(key: str, encoding: Encoding) -> Item:
    frame = encoding.frame
    record: dict[str, Any] = {
        "grid": list(encoding.grid),
        "colors": list(encoding.colors.shape),
        "size": list(frame.size),
        "scale": list(frame.scale),
        "offset": list(frame.offset),
    }
    if frame.turn:
        record["turn"] = [frame.turn.quarters, list(frame.turn.size)]
    return Item(key, {"tokens": encoding.tokens, "colors": encoding.colors.reshape(-1, 3)}, record)
