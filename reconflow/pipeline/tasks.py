"""Bodies of the tasks, run on workers.

A body reads from and writes to the store and returns small records; it never raises for an item, but returns the
item with the reason. This is one of the two files where ``except Exception`` may stand: whatever a photo or a pair
does to a library must not take the rest of its tile along.
"""

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reconflow.config import PipelineConfig, Precision
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import Matches
from reconflow.core.pairs import Pair
from reconflow.core.union import FeatureUnion, unite
from reconflow.errors import Cancelled, DependencyError, OutputError, ReconflowError, StoreError
from reconflow.nets.extraction import PHOTOS_IN_A_BATCH
from reconflow.nets.protocols import Extractor, Finish, matches_tiles
from reconflow.nets.registry import EXTRACTORS, create_extractor
from reconflow.pipeline.control import RunLine, TaskControl
from reconflow.pipeline.matching import (
    ReadyMethod,
    coarse_reasons,
    encoder,
    match_pair,
    pair_matches,
    ready_methods,
    tile_matches,
)
from reconflow.pipeline.overlap import Ahead, begun, overlapped
from reconflow.pipeline.photo_cache import PhotoCache
from reconflow.pipeline.plan import ExtractTask, IngestTask, MatchTask, TileImage, photo_batches
from reconflow.stages.extract import extract_together
from reconflow.stages.ingest import ingest_image, read_image
from reconflow.store.encodings import EncodingStore, read_encodings
from reconflow.store.features import FeatureStore, read_features
from reconflow.store.geometries import GeometryStore, MatchedPair, StoredPair
from reconflow.store.packs import ItemRef
from reconflow.store.root import Root, open_root

logger = logging.getLogger(__name__)

_FATAL = (Cancelled, OutputError, StoreError, DependencyError)
"""What concerns the run and not the item."""


class RunContext(msgspec.Struct, frozen=True):
    """What every task of a run is given besides its own work."""

    store: str
    config: PipelineConfig
    features: dict[str, str]
    """Namespace of the features of each extractor, in the order in which their keypoints are united."""
    geometries: str
    """Namespace of the run's pairs."""
    line: RunLine
    encoder: str = ""
    """Name of the encoder whose encodings the matcher reads; empty where it reads none."""
    encodings: dict[str, str] = {}
    """Namespace of the encodings by each encoder: the matcher's, and those that rank photos."""
    precision: Precision = "fp32"
    """Of encoders."""
    upright: bool = False
    """Whether a network looks at the photos, which knows only upright ones."""


class IngestOutcome(msgspec.Struct, frozen=True):
    """Image records, and the files that are none."""

    records: tuple[ImageRecord, ...]
    unreadable: tuple[Unreadable, ...]


class ExtractOutcome(msgspec.Struct, frozen=True):
    """Where the features lie, by SHA-256, and what failed, by name."""

    refs: dict[str, ItemRef]
    failed: dict[str, str]
    keypoints: int


class MatchOutcome(msgspec.Struct, frozen=True):
    """What the pairs came to, by pair key, and which failed."""

    pairs: dict[str, StoredPair]
    failed: dict[str, str]
    """Which methods failed and why. A pair whose other methods did not fail stands among ``pairs`` too."""
    asked: int
    """Features and encodings of photos that the tile needed."""
    read: int
    """How many of them came from the store, because the worker did not have them at hand."""


def ingest(task: IngestTask, context: RunContext) -> IngestOutcome:
    """Read the record of every file."""
    control = TaskControl(context.line, stage="ingest", task=task.key)
    records: list[ImageRecord] = []
    unreadable: list[Unreadable] = []
    for done, (name, path) in enumerate(task.files):
        control.check()
        try:
            found = ingest_image(name, Path(path), config=context.config.ingest)
        except Exception as error:
            logger.debug("ingest of %s failed", name, exc_info=True)
            found = Unreadable(name=name, reason=_reason(error))
        (records if isinstance(found, ImageRecord) else unreadable).append(found)  # pyright: ignore
        control.advance(done + 1, name)
    return IngestOutcome(tuple(records), tuple(unreadable))


def extract(task: ExtractTask, context: RunContext) -> ExtractOutcome:
    """Extract the features of a batch of photos into one pack."""
    control = TaskControl(context.line, stage="extract", task=task.key)
    learned = EXTRACTORS[task.extractor].learned
    _before_learned(context, needed=learned)
    gpu = learned and (control.has_gpu or _sees_gpu())
    # On cores a batch only leaves the caches, and holds photos that nobody needs yet.
    batches = photo_batches(task.images, at_most=PHOTOS_IN_A_BATCH if gpu else 1)
    reading = [partial(_read, task.images[place]) for batch in batches for place in batch]
    photos = begun(reading, threads=context.config.execution.threads_beside_gpu if gpu else 0)
    made: dict[int, Features | str] = {}
    for batch in batches:
        control.check()
        read = {place: next(photos) for place in batch}
        made.update(_extracted({place: one for place, one in read.items() if not isinstance(one, str)}, task, context))
        made.update({place: one for place, one in read.items() if isinstance(one, str)})
        control.advance(len(made), task.images[batch[-1]].name)
    images = enumerate(task.images)
    found = [(record, features) for place, record in images if not isinstance(features := made[place], str)]
    failed = {task.images[place].name: reason for place, reason in sorted(made.items()) if isinstance(reason, str)}
    refs = FeatureStore(open_root(context.store), context.features[task.extractor]).write(found)
    return ExtractOutcome(refs, failed, sum(len(features) for _, features in found))


def _read(record: ImageRecord) -> Array | str:
    """Return a photo's raster, or why it cannot be read."""
    try:
        return read_image(record.path)
    except _FATAL:
        raise
    except Exception as error:
        logger.debug("reading of %s failed", record.name, exc_info=True)
        return _reason(error)


def _extracted(photos: Mapping[int, Array], task: ExtractTask, context: RunContext) -> dict[int, Features | str]:
    """Return the features of a batch; where that fails of each photo alone, so that each fails for itself."""
    config = msgspec.structs.replace(context.config.extract, extractor=task.extractor)
    quarters = [task.images[place].quarters for place in photos]
    try:
        made = extract_together(
            list(photos.values()), config=config, extractor=extractor(config.extractor), quarters=quarters
        )
        return dict(zip(photos, made, strict=True))
    except _FATAL:
        raise
    except Exception as error:
        names = " and ".join(task.images[place].name for place in photos)
        logger.debug("extraction from %s failed", names, exc_info=True)
        if len(photos) == 1:
            return dict.fromkeys(photos, _reason(error))
    return {n: one for place, photo in photos.items() for n, one in _extracted({place: photo}, task, context).items()}


def encode(task: ExtractTask, context: RunContext) -> ExtractOutcome:
    """Encode a batch of photos into one pack."""
    _before_learned(context, needed=True)
    control = TaskControl(context.line, stage="extract", task=task.key)
    images: list[tuple[ImageRecord, np.ndarray]] = []
    failed: dict[str, str] = {}
    for record in task.images:
        control.check()
        try:
            images.append((record, record.turn.image(read_image(record.path))))
        except _FATAL:
            raise
        except Exception as error:
            logger.debug("reading of %s failed", record.name, exc_info=True)
            failed[record.name] = _reason(error)
    made: list[Encoding] = []
    try:
        made = encoder(task.extractor, context.precision).encode([image for _, image in images])
    except _FATAL:
        raise
    except Exception as error:
        logger.debug("encoding of %d photos failed", len(images), exc_info=True)
        failed |= {record.name: _reason(error) for record, _ in images}
    control.advance(len(task.images))
    found = [(record, encoding.of_turned(record.turn)) for (record, _), encoding in zip(images, made, strict=False)]
    refs = EncodingStore(open_root(context.store), context.encodings[task.extractor]).write(found)
    return ExtractOutcome(refs, failed, 0)


def match(task: MatchTask, context: RunContext) -> MatchOutcome:
    """Match and verify the pairs of a tile into one pack; hopeless pairs end after the coarse pass."""
    control = TaskControl(context.line, stage="match", task=task.key)
    root = open_root(context.store)
    config = context.config
    ready = ready_methods(config.extract.extractor, config.match.matcher)
    learned = any(one.method.learned for one in ready)
    _before_learned(context, needed=learned)
    threads = config.execution.threads_beside_gpu if learned and (control.has_gpu or _sees_gpu()) else 0
    cache = photo_cache(config.execution.feature_cache_mb)
    ahead().wait()
    features, encoded, read = _photos(task.images, root, cache)
    photos = [unite([features[ref] for ref in image.refs]) for image in task.images]
    encodings = [encoded.get(image.encoding) if image.encoding else None for image in task.images]
    coming = ahead().begin(partial(_photos, task.then, root, cache)) if threads and task.then else None
    pairs = [(pair.first, pair.second) for pair in task.pairs]
    hopeless = coarse_reasons(photos, pairs, ready=ready, config=config.match)
    tile = _Tile(task, photos, encodings, pairs, ready, hopeless, config)
    matched: dict[int, MatchedPair] = {}
    failed: dict[str, str] = {}
    calls = (partial(_finished, tile, place, found) for place, found in _by_pair(tile, control))
    for done, (place, made, reason) in enumerate(overlapped(calls, threads=threads)):
        if made:
            matched[place] = made
        if reason:
            failed[task.pairs[place].key] = reason
        control.advance(done + 1)
    written = GeometryStore(root, context.geometries).write([matched[place] for place in sorted(matched)])
    if coming is not None:
        read += _read_ahead(coming)
    return MatchOutcome(written, failed, len(features) + len(encoded), read)


def _photos(
    images: Sequence[TileImage], root: Root, cache: PhotoCache
) -> tuple[dict[ItemRef, Features], dict[ItemRef, Encoding], int]:
    """Return features and encodings of photos, and how many of them were not at hand."""
    features, read = cache.read(root, [ref for image in images for ref in image.refs], by=read_features)
    encodings, more = cache.read(root, [image.encoding for image in images if image.encoding], by=read_encodings)
    return features, encodings, read + more


def _read_ahead(coming: Future[tuple[Any, Any, int]]) -> int:
    """Return how much was read for the next tile; nothing where that failed, since the next tile will meet it."""
    return 0 if coming.exception() else coming.result()[2]


@dataclass(frozen=True)
class _Tile:
    """A tile with everything read that its pairs need."""

    task: MatchTask
    photos: list[FeatureUnion]
    encodings: list[Encoding | None]
    pairs: list[Pair]
    ready: Sequence[ReadyMethod]
    hopeless: list[tuple[str, ...]]
    config: PipelineConfig


_Found = dict[int, Finish | str]
"""By number of the method: what finishes its matches of a pair, or why it failed."""


def _by_pair(tile: _Tile, control: TaskControl) -> Iterator[tuple[int, _Found]]:
    """Yield each pair's place, as soon as the last matcher of tiles is through with it, and what each method found."""
    methods = range(len(tile.ready))
    tried = [[number for number in methods if not reasons[number]] for reasons in tile.hopeless]
    found: list[_Found] = [
        {n: _of_pair(tile, n, place) for n in numbers if not matches_tiles(tile.ready[n].matcher)}
        for place, numbers in enumerate(tried)
    ]
    for place, numbers in enumerate(tried):
        if len(found[place]) == len(numbers):
            control.check()
            yield place, found[place]
    for number in methods:
        if matches_tiles(tile.ready[number].matcher):
            for place, made in _of_tile(tile, number, [place for place, own in enumerate(tried) if number in own]):
                control.check()
                found[place][number] = made
                if len(found[place]) == len(tried[place]):
                    yield place, found[place]


def _of_pair(tile: _Tile, number: int, place: int) -> Finish:
    a, b = (tile.photos[index] for index in tile.pairs[place])
    return partial(pair_matches, tile.ready[number], a, b, config=tile.config.match)


def _of_tile(tile: _Tile, number: int, places: Sequence[int]) -> Iterator[tuple[int, Finish | str]]:
    """Match pairs together and, where that fails, those that are left one by one, so that each fails for itself."""
    left = dict.fromkeys(places)

    def made(some: Sequence[int]) -> Iterator[tuple[int, Finish]]:
        pairs = [tile.pairs[place] for place in some]
        together = tile_matches(tile.ready[number], tile.photos, tile.encodings, pairs, config=tile.config.match)
        return ((some[at], finish) for at, finish in together)

    try:
        for place, finish in made(places):
            del left[place]
            yield place, finish
    except _FATAL:
        raise
    except Exception:
        logger.debug("matching of a tile failed: %d pairs are tried one by one", len(left), exc_info=True)
    for place in left:
        try:
            ((_, one),) = made([place])
        except _FATAL:
            raise
        except Exception as error:
            logger.debug("matching of %s failed", _names(tile, place), exc_info=True)
            one = _reason(error)
        yield place, one


def _finished(tile: _Tile, place: int, found: _Found) -> tuple[int, MatchedPair | None, str]:
    """Return a pair's place, what it came to, if anything, and why a method failed, if one did."""
    pair = tile.task.pairs[place]
    made: dict[int, Matches] = {}
    failed: dict[int, str] = {}
    for number, one in sorted(found.items()):
        try:
            if isinstance(one, str):
                failed[number] = one
            else:
                made[number] = one()
        except _FATAL:
            raise
        except Exception as error:
            logger.debug("matching of %s failed", _names(tile, place), exc_info=True)
            failed[number] = _reason(error)
    why = "; ".join(f"{tile.ready[number].method}: {reason}" for number, reason in failed.items())
    if failed and not made:
        return place, None, why
    try:
        cameras = tile.task.images[pair.first].camera, tile.task.images[pair.second].camera
        a, b = tile.photos[pair.first], tile.photos[pair.second]
        reasons = [failed.get(number, reason) for number, reason in enumerate(tile.hopeless[place])]
        result = match_pair(a, b, cameras=cameras, ready=tile.ready, hopeless=reasons, config=tile.config, made=made)
    except _FATAL:
        raise
    except Exception as error:
        logger.debug("verification of %s failed", _names(tile, place), exc_info=True)
        return place, None, _reason(error)
    return place, MatchedPair(pair.key, *result, complete=not failed), why


def _names(tile: _Tile, place: int) -> str:
    return " and ".join(tile.task.images[index].name for index in tile.pairs[place])


@functools.cache
def photo_cache(megabytes: int) -> PhotoCache:
    """Return what this process has at hand of photos."""
    return PhotoCache(megabytes << 20)


@functools.cache
def ahead() -> Ahead:
    """Return what reads in this process what the next tile will need."""
    return Ahead()


@functools.cache
def extractor(name: str) -> Extractor:
    """Return this process's extractor of the name: models are loaded once per worker, never sent to it."""
    return create_extractor(name)


def _before_learned(context: RunContext, *, needed: bool) -> None:
    if needed:
        from reconflow.nets.devices import bound_gpu_memory  # torch: only where a network runs

        bound_gpu_memory(context.config.execution.gpu_memory_fraction)


def _sees_gpu() -> bool:
    from reconflow.nets.devices import torch_device  # torch: only where a network runs

    return torch_device().type == "cuda"


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, ReconflowError) else f"{type(error).__name__}: {error}"
