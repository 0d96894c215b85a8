"""Bodies of the tasks, run on workers.

A body reads from and writes to the store and returns small records; it never raises for an item, but returns the
item with the reason. This is one of the two files where ``except Exception`` may stand: whatever a photo or a pair
does to a library must not take the rest of its tile along.
"""

import functools
import logging
from pathlib import Path

import msgspec
import numpy as np

from reconflow.config import PipelineConfig
from reconflow.core.encodings import Encoding
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import Matches
from reconflow.core.union import FeatureUnion, unite
from reconflow.errors import Cancelled, DependencyError, OutputError, ReconflowError, StoreError
from reconflow.nets.protocols import Extractor
from reconflow.nets.registry import EXTRACTORS, create_extractor
from reconflow.pipeline.control import RunLine, TaskControl
from reconflow.pipeline.feature_cache import FeatureCache
from reconflow.pipeline.matching import coarse_reasons, encoder, match_pair, ready_methods, tile_matches
from reconflow.pipeline.plan import ExtractTask, IngestTask, MatchTask
from reconflow.stages.extract import extract_features
from reconflow.stages.ingest import ingest_image, read_image
from reconflow.store.encodings import EncodingStore, read_encodings
from reconflow.store.features import FeatureStore
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
    encodings: str = ""
    """Namespace of the encodings."""
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
    at_hand: int
    """Photos of the tile whose features the worker still had."""
    read: int
    """Photos whose features came from the store."""


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
    config = msgspec.structs.replace(context.config.extract, extractor=task.extractor)
    _before_learned(context, needed=EXTRACTORS[task.extractor].learned)
    found: list[tuple[ImageRecord, Features]] = []
    failed: dict[str, str] = {}
    for done, record in enumerate(task.images):
        control.check()
        try:
            image = read_image(record.path)
            made = extract_features(
                image, config=config, extractor=extractor(config.extractor), quarters=record.quarters
            )
            found.append((record, made))
        except _FATAL:
            raise
        except Exception as error:
            logger.debug("extraction from %s failed", record.name, exc_info=True)
            failed[record.name] = _reason(error)
        control.advance(done + 1, record.name)
    refs = FeatureStore(open_root(context.store), context.features[task.extractor]).write(found)
    return ExtractOutcome(refs, failed, sum(len(features) for _, features in found))


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
        made = encoder(context.encoder, context.config.match.precision).encode([image for _, image in images])
    except _FATAL:
        raise
    except Exception as error:
        logger.debug("encoding of %d photos failed", len(images), exc_info=True)
        failed |= {record.name: _reason(error) for record, _ in images}
    control.advance(len(task.images))
    found = [(record, encoding.of_turned(record.turn)) for (record, _), encoding in zip(images, made, strict=False)]
    refs = EncodingStore(open_root(context.store), context.encodings).write(found)
    return ExtractOutcome(refs, failed, 0)


def match(task: MatchTask, context: RunContext) -> MatchOutcome:
    """Match and verify the pairs of a tile into one pack; hopeless pairs end after the coarse pass."""
    control = TaskControl(context.line, stage="match", task=task.key)
    root = open_root(context.store)
    cache = feature_cache(context.config.execution.feature_cache_mb)
    stored, at_hand = cache.read(root, {ref for image in task.images for ref in image.refs})
    photos = [unite([stored[ref] for ref in image.refs]) for image in task.images]
    config = context.config
    ready = ready_methods(config.extract.extractor, config.match.matcher)
    _before_learned(context, needed=any(one.method.learned for one in ready))
    places = [(pair.first, pair.second) for pair in task.pairs]
    hopeless = coarse_reasons(photos, places, ready=ready, config=config.match)
    matched: list[MatchedPair] = []
    failed: dict[str, str] = {}
    made, why = _by_tile(task, photos, root, control, config)
    for done, (pair, reasons) in enumerate(zip(task.pairs, hopeless, strict=True)):
        control.check()
        if why:
            failed[pair.key] = why
            continue
        try:
            cameras = task.images[pair.first].camera, task.images[pair.second].camera
            a, b = photos[pair.first], photos[pair.second]
            result = match_pair(a, b, cameras=cameras, ready=ready, hopeless=reasons, config=config, made=made[done])
            matched.append(MatchedPair(pair.key, *result))
        except _FATAL:
            raise
        except Exception as error:
            names = f"{task.images[pair.first].name} and {task.images[pair.second].name}"
            logger.debug("matching of %s failed", names, exc_info=True)
            failed[pair.key] = _reason(error)
        control.advance(done + 1)
    pairs = GeometryStore(root, context.geometries).write(matched)
    return MatchOutcome(pairs, failed, at_hand, len(stored) - at_hand)


def _by_tile(
    task: MatchTask, photos: list[FeatureUnion], root: Root, control: TaskControl, config: PipelineConfig
) -> tuple[list[dict[int, Matches]], str]:
    """Return for each pair what matchers of tiles found, by number of the method, and why they failed, if they did."""
    made: list[dict[int, Matches]] = [{} for _ in task.pairs]
    ready = ready_methods(config.extract.extractor, config.match.matcher)
    places = [(pair.first, pair.second) for pair in task.pairs]
    try:
        stored = read_encodings(root, [image.encoding for image in task.images if image.encoding])
        encodings = [stored.get(image.encoding) if image.encoding else None for image in task.images]
        for place, number, matches in tile_matches(photos, encodings, places, ready=ready, config=config.match):
            control.check()
            made[place][number] = matches
    except _FATAL:
        raise
    except Exception as error:
        logger.debug("matching of a tile failed", exc_info=True)
        return made, _reason(error)
    return made, ""


@functools.cache
def feature_cache(megabytes: int) -> FeatureCache:
    """Return this process's features at hand."""
    return FeatureCache(megabytes << 20)


@functools.cache
def extractor(name: str) -> Extractor:
    """Return this process's extractor of the name: models are loaded once per worker, never sent to it."""
    return create_extractor(name)


def _before_learned(context: RunContext, *, needed: bool) -> None:
    if needed:
        from reconflow.nets.devices import bound_gpu_memory  # torch: only where a network runs

        bound_gpu_memory(context.config.execution.gpu_memory_fraction)


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, ReconflowError) else f"{type(error).__name__}: {error}"
