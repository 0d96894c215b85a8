"""Matched pairs, kept by the content of both photos, their cameras and every setting that decides a match."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from reconflow.config import MatchConfig, VerifyConfig
from reconflow.core.cameras import Camera
from reconflow.core.images import ImageRecord
from reconflow.core.matches import Matches, PairSummary, Points, TwoViewGeometry
from reconflow.store.keys import fingerprint
from reconflow.store.packs import Item, ItemRef, Packs, read_items
from reconflow.store.root import SCHEMA, Root

_SIDES = ("first", "second")
_FIELDS = ("matches", "inliers", "fundamental", "essential", "homography", *_SIDES)
"""Arrays of an item; ``first`` and ``second`` are (K, 5) float32: x, y, red, green, blue of the pair's own points."""


class StoredPair(msgspec.Struct, frozen=True):
    """A pair's place and what it came to."""

    ref: ItemRef
    putative: int
    inliers: int
    configuration: str
    verified: bool
    reason: str
    complete: bool = True
    """Whether all methods of the run had their say."""

    def summary(self, first: str, second: str) -> PairSummary:
        """Return the summary under the names the two photos have in a run."""
        return PairSummary(
            first=first,
            second=second,
            putative=self.putative,
            inliers=self.inliers,
            configuration=self.configuration,
            verified=self.verified,
            reason=self.reason,
        )


class MatchedPair(msgspec.Struct, frozen=True):
    """A pair's result on its way into the store."""

    key: str
    matches: Matches
    geometry: TwoViewGeometry
    reason: str
    """Why it is no evidence of a common scene; empty where it is."""
    complete: bool = True
    """Whether all methods of the run had their say. Where one failed, what the others found serves this run under a key
    of its own, and the next one tries the pair again."""


def geometries_namespace(match: MatchConfig, verify: VerifyConfig, *, features: str, made_with: str) -> str:
    """Return the fingerprint of everything but the two photos and cameras that decides a pair."""
    return fingerprint("geometries", SCHEMA, match, verify, features, made_with)


def view_key(record: ImageRecord, camera: Camera) -> str:
    """Return the part of a pair's key that one photo brings: its content and its camera."""
    return fingerprint(record.content, camera)


def pair_key(first: str, second: str) -> str:
    """Return the key, within its namespace, of a pair by the view keys of both photos."""
    return hashlib.sha256((first + second).encode()).hexdigest()[:32]


def incomplete_key(pair: str) -> str:
    """Return the key of what some methods made of a pair while another failed."""
    return f"{pair}-incomplete"


class GeometryStore:
    """Pairs matched and verified with one configuration, below one root."""

    def __init__(self, root: Root, namespace: str):
        self._packs = Packs(root, f"geometries/{namespace[:32]}")

    def write(self, pairs: Sequence[MatchedPair]) -> dict[str, StoredPair]:
        """Publish one pack and return what stands where, by pair key."""
        items = [_to_item(pair) for pair in pairs]
        refs = self._packs.write(items)
        return {
            pair.key: _stored(ref, dict(item.record), complete=pair.complete)
            for pair, item, ref in zip(pairs, items, refs, strict=True)
        }

    def index(self) -> dict[str, StoredPair]:
        """Return all stored pairs, by pair key."""
        found = self._packs.index().items()
        return {key: _stored(ref, record, complete=key != incomplete_key(key[:32])) for key, (ref, record) in found}


def read_geometries(root: Root, refs: Iterable[ItemRef]) -> dict[ItemRef, tuple[Matches, TwoViewGeometry]]:
    """Return the putative matches and the geometry of each pair at ``refs``."""
    found: dict[ItemRef, tuple[Matches, TwoViewGeometry]] = {}
    for ref, (arrays, record) in read_items(root, refs, _FIELDS).items():
        geometry = TwoViewGeometry(
            configuration=record["configuration"],
            inliers=arrays["inliers"],
            fundamental=arrays["fundamental"][0],
            essential=arrays["essential"][0],
            homography=arrays["homography"][0],
            triangulation_angle_deg=record["triangulation_angle_deg"],
        )
        rasters_px = record.get("rasters_px", (0.0, 0.0))
        first, second = (_to_points(arrays[side], px) for side, px in zip(_SIDES, rasters_px, strict=True))
        matches = Matches(arrays["matches"], first, second)
        found[ref] = matches, geometry
    return found


def _to_item(pair: MatchedPair) -> Item:
    g = pair.geometry
    arrays = {
        "matches": pair.matches.indices,
        "inliers": g.inliers,
        "fundamental": g.fundamental[np.newaxis],
        "essential": g.essential[np.newaxis],
        "homography": g.homography[np.newaxis],
        "first": _to_table(pair.matches.first),
        "second": _to_table(pair.matches.second),
    }
    record = {
        "putative": len(pair.matches),
        "inliers": len(g),
        "configuration": g.configuration,
        "triangulation_angle_deg": g.triangulation_angle_deg,
        "reason": pair.reason,
        "rasters_px": [float(side.raster_px) for side in (pair.matches.first, pair.matches.second)],
    }
    return Item(pair.key if pair.complete else incomplete_key(pair.key), arrays, record)


def _to_table(points: Points) -> np.ndarray:
    return np.column_stack([points.places, points.colors]).astype(np.float32)


def _to_points(table: np.ndarray, raster_px: float) -> Points:
    return Points(table[:, :2], table[:, 2:].astype(np.uint8), raster_px)


def _stored(ref: ItemRef, record: dict[str, object], *, complete: bool) -> StoredPair:
    return StoredPair(
        ref=ref,
        putative=int(str(record["putative"])),
        inliers=int(str(record["inliers"])),
        configuration=str(record["configuration"]),
        verified=not record["reason"],
        reason=str(record["reason"]),
        complete=complete,
    )
