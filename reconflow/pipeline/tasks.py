"""Bodies of the tasks on photos, run on workers.

A body reads from and writes to the store and returns small records; it never raises for an item, but returns the
item with the reason. This is one of the two files where ``except Exception`` may stand, in :func:`attempted`: whatever
a photo or a pair does to a library must not take the rest of its task along.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.errors import Cancelled, DependencyError, OutputError, ReconflowError, StoreError
from reconflow.nets.extraction import PHOTOS_IN_A_BATCH
from reconflow.nets.registry import EXTRACTORS
from reconflow.pipeline.control import TaskControl
from reconflow.pipeline.matching import encoder
from reconflow.pipeline.overlap import begun
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.work_items import ExtractTask, IngestTask
from reconflow.pipeline.worker import bound_memory, extractor, on_gpu, threads_beside_gpu
from reconflow.stages.extract import extract_together
from reconflow.stages.ingest import ingest_image, read_image
from reconflow.store.encodings import EncodingStore
from reconflow.store.features import FeatureStore
from reconflow.store.packs import ItemRef
from reconflow.store.root import open_root

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FATAL = (Cancelled, OutputError, StoreError, DependencyError)
"""What concerns the run and not the item."""


class IngestOutcome(msgspec.Struct, frozen=True):
    """Image records, and the files that are none."""

    records: tuple[ImageRecord, ...]
    unreadable: tuple[Unreadable, ...]


class ExtractOutcome(msgspec.Struct, frozen=True):
    """Where the features lie, by the photo's content, and what failed, by name."""

    refs: dict[str, ItemRef]
    failed: dict[str, str]


def attempted(call: Callable[[], T], what: str) -> T | str:
    """Return what a call makes of an item, or why it failed; what concerns the whole run is raised."""
    try:
        return call()
    except _FATAL:
        raise
    except Exception as error:
        logger.debug("%s failed", what, exc_info=True)
        return error.message if isinstance(error, ReconflowError) else f"{type(error).__name__}: {error}"


def ingest(task: IngestTask, context: RunContext) -> IngestOutcome:
    """Read the record of every file."""
    control = TaskControl(context.line, stage="ingest", task=task.key)
    records: list[ImageRecord] = []
    unreadable: list[Unreadable] = []
    for done, (name, path) in enumerate(task.files):
        control.check()
        found = attempted(partial(ingest_image, name, Path(path), config=context.config.ingest), f"ingest of {name}")
        if isinstance(found, ImageRecord):
            records.append(found)
        else:
            unreadable.append(Unreadable(name=name, reason=found) if isinstance(found, str) else found)
        control.advance(done + 1, name)
    return IngestOutcome(tuple(records), tuple(unreadable))


def extract(task: ExtractTask, context: RunContext) -> ExtractOutcome:
    """Extract the features of a batch of photos into one pack."""
    control = TaskControl(context.line, stage="extract", task=task.key)
    learned = EXTRACTORS[task.extractor].learned
    gpu = learned and on_gpu(offered=control.has_gpu)
    bound_memory(context, needed=learned)
    # On cores a batch only leaves the caches, and holds photos that nobody needs yet.
    batches = task.batches(at_most=PHOTOS_IN_A_BATCH if gpu else 1)
    reading = [partial(_read, task.images[place]) for batch in batches for place in batch]
    made: dict[int, Features | str] = {}
    with begun(reading, threads=threads_beside_gpu(context.config.execution, gpu=gpu)) as photos:
        for batch in batches:
            control.check()
            read = {place: next(photos) for place in batch}
            rasters = {place: one for place, one in read.items() if not isinstance(one, str)}
            made.update(_extracted(rasters, task, context))
            made.update({place: one for place, one in read.items() if isinstance(one, str)})
            control.advance(len(made), task.images[batch[-1]].name)
    images = enumerate(task.images)
    found = [(record, features) for place, record in images if not isinstance(features := made[place], str)]
    failed = {task.images[place].name: reason for place, reason in sorted(made.items()) if isinstance(reason, str)}
    refs = FeatureStore(open_root(context.store), context.features[task.extractor]).write(found)
    return ExtractOutcome(refs, failed)


def _read(record: ImageRecord) -> Array | str:
    """Return a photo's raster, or why it cannot be read."""
    return attempted(lambda: read_image(record.path), f"reading of {record.name}")


def _extracted(photos: Mapping[int, Array], task: ExtractTask, context: RunContext) -> dict[int, Features | str]:
    """Return the features of a batch; where that fails of each photo alone, so that each fails for itself."""
    config = msgspec.structs.replace(context.config.extract, extractor=task.extractor)
    quarters = [task.images[place].quarters for place in photos]

    def together() -> list[Features]:
        return extract_together(
            list(photos.values()), config=config, extractor=extractor(config.extractor), quarters=quarters
        )

    made = attempted(together, f"extraction from {' and '.join(task.images[place].name for place in photos)}")
    if not isinstance(made, str):
        return dict(zip(photos, made, strict=True))
    if len(photos) == 1:
        return dict.fromkeys(photos, made)
    return {n: one for place, photo in photos.items() for n, one in _extracted({place: photo}, task, context).items()}


def encode(task: ExtractTask, context: RunContext) -> ExtractOutcome:
    """Encode a batch of photos into one pack."""
    control = TaskControl(context.line, stage="extract", task=task.key)
    gpu = on_gpu(offered=control.has_gpu)
    bound_memory(context, needed=True)
    reading = [partial(_read, record) for record in task.images]
    images: list[tuple[ImageRecord, Array]] = []
    failed: dict[str, str] = {}
    with begun(reading, threads=threads_beside_gpu(context.config.execution, gpu=gpu)) as photos:
        for record in task.images:
            control.check()
            read = next(photos)
            if isinstance(read, str):
                failed[record.name] = read
            else:
                images.append((record, record.turn.image(read)))

    made = _encoded(images, task, context)
    failed |= {record.name: one for (record, _), one in zip(images, made, strict=True) if isinstance(one, str)}
    control.advance(len(task.images))
    found = [
        (record, one.of_turned(record.turn))
        for (record, _), one in zip(images, made, strict=True)
        if not isinstance(one, str)
    ]
    refs = EncodingStore(open_root(context.store), context.encodings[task.extractor]).write(found)
    return ExtractOutcome(refs, failed)


def _encoded(
    images: Sequence[tuple[ImageRecord, Array]], task: ExtractTask, context: RunContext
) -> Sequence[Encoding | str]:
    """Return the encodings of photos; where that fails together of each alone, so that each fails for itself."""
    if not images:
        return []

    def together() -> list[Encoding]:
        return encoder(task.extractor, context.precision).encode([image for _, image in images])

    made = attempted(together, f"encoding of {' and '.join(record.name for record, _ in images)}")
    if not isinstance(made, str):
        return made
    return [made] if len(images) == 1 else [one for image in images for one in _encoded([image], task, context)]
