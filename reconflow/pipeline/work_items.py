"""Work items, as values: what a task is told. Those of several photos or pairs can be halved."""

import math
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from reconflow.config import CloudConfig, ReconstructConfig
from reconflow.core.cameras import Camera
from reconflow.core.images import ImageRecord
from reconflow.nets.batches import grouped, in_batches
from reconflow.store.keys import fingerprint
from reconflow.store.packs import ItemRef

T = TypeVar("T")


class IngestTask(msgspec.Struct, frozen=True):
    """Files to read headers, hashes and statistics of."""

    key: str
    files: tuple[tuple[str, str], ...]
    """Name in the run and path on disk."""

    def __len__(self) -> int:
        return len(self.files)

    def halves(self) -> tuple["IngestTask", ...]:
        """Return the task in two, to find the item that kills its worker."""
        return tuple(ingest_task(part) for part in _halves(self.files))


class ExtractTask(msgspec.Struct, frozen=True):
    """Photos to extract features of, with one extractor, into one pack; or to encode, with one encoder."""

    key: str
    images: tuple[ImageRecord, ...]
    extractor: str
    """Or the encoder."""

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, *, at_most: int) -> list[tuple[int, ...]]:
        """Return the places of photos that a network may take together: those of one size as they stand."""

        def size(record: ImageRecord) -> tuple[int, int]:
            turned = record.quarters % 2
            return (record.height, record.width) if turned else (record.width, record.height)

        return [batch for group in grouped(self.images, key=size) for batch in in_batches(group, at_most)]

    def halves(self) -> tuple["ExtractTask", ...]:
        """Return the task in two, to find the item that kills its worker."""
        return tuple(extract_task(part, self.extractor) for part in _halves(self.images))


class TileImage(msgspec.Struct, frozen=True):
    """A photo of a tile: where its features lie and what camera it starts with."""

    name: str
    refs: tuple[ItemRef, ...]
    """One for each extractor of the run."""
    camera: Camera
    encoding: ItemRef | None = None
    """For matchers that read what an encoder made of the photo."""


class TilePair(msgspec.Struct, frozen=True):
    """A pair of a tile, by the position of both photos in the tile's list."""

    key: str
    first: int
    second: int


class MatchTask(msgspec.Struct, frozen=True):
    """Pairs to match and verify, into one pack: a block of the pair matrix, each photo loaded once."""

    key: str
    images: tuple[TileImage, ...]
    pairs: tuple[TilePair, ...]
    home: int = 0
    """Number of the worker that should do it, because it has many of the photos at hand."""
    then: tuple[TileImage, ...] = ()
    """Photos that the next tile of the same worker needs beyond those of this one."""

    def __len__(self) -> int:
        return len(self.pairs)

    def halves(self) -> tuple["MatchTask", ...]:
        """Return the task in two, to find the pair that kills its worker."""
        return tuple(match_task(self.images, part) for part in _halves(self.pairs))


class MappingPair(msgspec.Struct, frozen=True):
    """A verified pair of a scene, by the position of both photos in the scene's list."""

    first: int
    second: int
    ref: ItemRef


class MappingTask(msgspec.Struct, frozen=True):
    """A scene to map, with all that decides its models in the key."""

    key: str
    scene: int
    images: tuple[TileImage, ...]
    camera_of: tuple[int, ...]
    """For each image the number of its camera: images of equal number share intrinsics."""
    pairs: tuple[MappingPair, ...]
    config: ReconstructConfig
    threads: int
    folder: str
    """Where the models go."""
    live: str = ""
    """File for the points that there are meanwhile; empty where nobody watches."""

    def __len__(self) -> int:
        return len(self.images)

    def halves(self) -> tuple["MappingTask", ...]:
        """A scene cannot be halved."""
        return ()


class RetrieveTask(msgspec.Struct, frozen=True):
    """All photos of a set too large to try every pair, to be ranked by appearance."""

    key: str
    photos: int
    features: tuple[ItemRef, ...]
    """Of every photo; none where features have no vote."""
    encodings: tuple[tuple[ItemRef | None, ...], ...] = ()
    """Of the same photos by every encoder that has a vote; None where it failed on a photo."""

    def __len__(self) -> int:
        return self.photos

    def halves(self) -> tuple["RetrieveTask", ...]:
        """A ranking needs all photos."""
        return ()


class ThumbnailTask(msgspec.Struct, frozen=True):
    """Photos to make small."""

    key: str
    images: tuple[ImageRecord, ...]

    def __len__(self) -> int:
        return len(self.images)

    def halves(self) -> tuple["ThumbnailTask", ...]:
        """Return the task in two, to find the item that kills its worker."""
        return tuple(thumbnail_task(part) for part in _halves(self.images))


class CloudTask(msgspec.Struct, frozen=True):
    """A model to write clouds of: raw and decimated."""

    key: str
    name: str
    model_folder: str
    folder: str
    """Where both PLY files go."""
    config: CloudConfig

    def __len__(self) -> int:
        return 1

    def halves(self) -> tuple["CloudTask", ...]:
        """A model cannot be halved."""
        return ()


def ingest_task(files: Sequence[tuple[str, str]]) -> IngestTask:
    """Return the task for ``files``."""
    key = fingerprint([[name, ascii(path)] for name, path in files])  # a path may hold what UTF-8 cannot say
    return IngestTask(key[:16], tuple(files))


def extract_task(images: Sequence[ImageRecord], extractor: str) -> ExtractTask:
    """Return the task for ``images``."""
    return ExtractTask(fingerprint(extractor, [image.content for image in images])[:16], tuple(images), extractor)


def match_task(images: Sequence[TileImage], pairs: Sequence[TilePair]) -> MatchTask:
    """Return the task for ``pairs``, dropping images that none of them names."""
    used = sorted({index for pair in pairs for index in (pair.first, pair.second)})
    place = {index: position for position, index in enumerate(used)}
    kept = tuple(TilePair(pair.key, place[pair.first], place[pair.second]) for pair in pairs)
    return MatchTask(fingerprint([pair.key for pair in kept])[:16], tuple(images[index] for index in used), kept)


def thumbnail_task(images: Sequence[ImageRecord]) -> ThumbnailTask:
    """Return the task for ``images``."""
    return ThumbnailTask(fingerprint([image.name for image in images])[:16], tuple(images))


def _halves(items: tuple[T, ...]) -> list[tuple[T, ...]]:
    return in_batches(items, math.ceil(len(items) / 2)) if len(items) > 1 else []
