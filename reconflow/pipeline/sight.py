"""What photos show and which of them match: the part of a run that can be done again with photos turned."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconflow.core.images import ImageRecord
from reconflow.core.pairs import Pair
from reconflow.nets.registry import EXTRACTORS
from reconflow.pipeline import tasks, tile_task
from reconflow.pipeline.dispatch import Died
from reconflow.pipeline.events import Notice
from reconflow.pipeline.pair_table import PairTable
from reconflow.pipeline.plan import plan_extract, plan_matches, view_keys
from reconflow.pipeline.preparation import needs_learned
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.stage_counts import StageCounts
from reconflow.pipeline.stage_work import StageWork
from reconflow.pipeline.work_items import ExtractTask, TileImage
from reconflow.stages.cameras import CameraRig
from reconflow.store.encodings import EncodingStore
from reconflow.store.features import FeatureStore
from reconflow.store.geometries import GeometryStore
from reconflow.store.packs import ItemRef
from reconflow.store.root import Root

logger = logging.getLogger(__name__)


@dataclass
class Seen:
    """Where everything is that extractors and an encoder made of photos, by content."""

    features: dict[str, dict[str, ItemRef]]
    """By extractor."""
    encodings: dict[str, ItemRef] | None
    """``None`` where nothing reads any."""
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Name of a photo that nothing could be made of → reason."""

    def __contains__(self, record: ImageRecord) -> bool:
        """Tell whether a photo has all it needs."""
        return all(record.content in refs for refs in self.parts())

    def parts(self) -> list[dict[str, ItemRef]]:
        """Return what there must be of each photo."""
        return [*self.features.values(), *([] if self.encodings is None else [self.encodings])]

    def image(self, record: ImageRecord, rig: CameraRig) -> TileImage:
        """Return a photo that has all it needs as tiles know it."""
        refs = tuple(refs[record.content] for refs in self.features.values())
        encoding = None if self.encodings is None else self.encodings[record.content]
        return TileImage(record.name, refs, rig.camera(record.name), encoding)


class Sight:
    """Extracts and matches for one run."""

    def __init__(self, work: StageWork, root: Root, context: RunContext):
        self._work = work
        self._root = root
        self._context = context

    def extract(self, records: Sequence[ImageRecord]) -> Seen:
        """Extract what is not stored of the photos."""
        context = self._context
        stored = {name: FeatureStore(self._root, namespace).index() for name, namespace in context.features.items()}
        encodings = self.encoded(context.encoder) if context.encoder else None
        seen = Seen(stored, encodings)
        have = sum(record.content in refs for refs in seen.parts() for record in records)
        total = len(records) * len(seen.parts())
        with self._work.stage("extract", unit="photos", total=total, reused=have) as stage:
            for name, refs in stored.items():
                learned = EXTRACTORS[name].learned
                self._make(name, records, refs, seen.failed, stage, body=tasks.extract, learned=learned)
            if encodings is not None:
                self._make(context.encoder, records, encodings, seen.failed, stage, body=tasks.encode, learned=True)
        return seen

    def encoded(self, encoder: str) -> dict[str, ItemRef]:
        """Return where the encodings lie that are stored, by content."""
        return EncodingStore(self._root, self._context.encodings[encoder]).index()

    def encode(
        self, records: Sequence[ImageRecord], encoder: str, refs: dict[str, ItemRef], stage: StageCounts
    ) -> tuple[ItemRef | None, ...]:
        """Return where the encodings of photos lie, made where none is among ``refs``; None where that failed."""
        self._make(encoder, records, refs, {}, stage, body=tasks.encode, learned=True, told_as=stage.name)
        return tuple(refs.get(record.content) for record in records)

    def _make(
        self,
        name: str,
        records: Sequence[ImageRecord],
        refs: dict[str, ItemRef],
        failed: dict[str, str],
        stage: StageCounts,
        *,
        body: Callable[[ExtractTask, RunContext], tasks.ExtractOutcome],
        learned: bool,
        told_as: str = "extract",
    ) -> None:
        where, at_most = self._work.where, self._context.config.execution.images_per_extract_task
        slots = where.learned_slots if learned else where.slots
        work = plan_extract(records, extractor=name, stored=refs, at_most=at_most, slots=slots)
        resources = where.learned if learned else where.compute
        before = stage.done - stage.reused
        for ended in self._work.do(work, body, stage, self._context, resources=resources, before=before):
            if isinstance(ended, Died):
                fresh = {image.name: ended.reason for image in ended.task.images}
            else:
                refs.update(ended.outcome.refs)
                fresh = ended.outcome.failed
            stage.failed += len(fresh)
            for photo, reason in fresh.items():
                self._work.tell(Notice(stage=told_as, message=f"{photo}: {reason}"))
                failed.setdefault(photo, reason)

    def match(self, records: Sequence[ImageRecord], pairs: Sequence[Pair], *, seen: Seen, rig: CameraRig) -> PairTable:
        """Match what is not stored of the pairs, as indices into photos that have all they need."""
        images, keys = [seen.image(record, rig) for record in records], view_keys(records, rig)
        table = PairTable(pairs, images, keys, GeometryStore(self._root, self._context.geometries).index())
        learned, config, place = needs_learned(self._context.config), self._context.config.execution, self._work.where
        work = plan_matches(
            pairs,
            images=images,
            keys=keys,
            stored=table.stored,
            images_per_side=config.images_per_tile,
            slots=place.learned_slots if learned else place.slots,
        )
        where = place.learned if learned else place.compute
        homes = [task.home for task in work]
        with self._work.stage("match", unit="pairs", total=len(pairs), reused=table.count_stored()) as stage:
            for ended in self._work.do(work, tile_task.match, stage, self._context, resources=where, homes=homes):
                if isinstance(ended, Died):
                    table.failed.update({pair.key: ended.reason for pair in ended.task.pairs})
                else:
                    table.stored.update(ended.outcome.pairs)
                    table.failed.update(ended.outcome.failed)
                    table.asked, table.read = table.asked + ended.outcome.asked, table.read + ended.outcome.read
            stage.failed = len(table.failed)
        logger.info("match: %d of what %d times was asked for of photos came from the store", table.read, table.asked)
        if table.failed:
            reason = min(table.failed.values())
            self._work.tell(
                Notice(stage="match", message=f"{len(table.failed)} pairs failed, the first because {reason}")
            )
        return table
