"""A run from photos to models: asks the planner what is left, has it done, and keeps what came of it.

The order is that of the stages. Everything heavy happens in tasks on workers; this process holds records, keys and
verified pairs, never features.
"""

import contextlib
import logging
import uuid
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client, Future

from reconflow.config import PipelineConfig, config_to_tree
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.pairs import Pair
from reconflow.core.scenes import Split
from reconflow.errors import StageError, TooFewImagesError
from reconflow.nets.registry import EXTRACTORS
from reconflow.pipeline import mapping, tasks
from reconflow.pipeline.cloud import CloudOutcome, load_cloud_library, write_clouds
from reconflow.pipeline.cluster import MAPPER, Placement, placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.dispatch import Advanced, Died, Dispatcher, Done, Task
from reconflow.pipeline.events import EventSink, Notice, ignore
from reconflow.pipeline.mapper_job import read_summary
from reconflow.pipeline.outputs import MappedScene, RunFacts, write_outputs
from reconflow.pipeline.pair_table import PairTable
from reconflow.pipeline.photos import open_photos
from reconflow.pipeline.plan import (
    CloudTask,
    ExtractTask,
    MappingTask,
    MatchTask,
    RetrieveTask,
    TileImage,
    mapper_share,
    plan_extract,
    plan_ingest,
    plan_mapping,
    plan_matches,
    plan_thumbnails,
    view_keys,
)
from reconflow.pipeline.preparation import needs_learned, prepare
from reconflow.pipeline.result import RunResult
from reconflow.pipeline.retrieval import retrieve
from reconflow.pipeline.stage_counts import StageCounts
from reconflow.pipeline.thumbnails import MOST_THUMBNAILS, make_thumbnails
from reconflow.pipeline.versions import versions
from reconflow.stages.cameras import CameraRig, assign_cameras
from reconflow.stages.reconstruct import MADE_WITH
from reconflow.stages.shortlist import needs_retrieval, shortlist_pairs
from reconflow.stages.split import split_scenes
from reconflow.store.encodings import EncodingStore
from reconflow.store.features import FeatureStore
from reconflow.store.geometries import GeometryStore
from reconflow.store.packs import ItemRef
from reconflow.store.root import Root, open_root
from reconflow.store.run_folder import RunFolder, RunManifest

logger = logging.getLogger(__name__)

FEWEST_IMAGES = 3
TaskT = TypeVar("TaskT", bound=Task)


def run(
    photos: Path,
    out: Path,
    *,
    client: Client,
    config: PipelineConfig,
    dataset: str | None = None,
    store: str | None = None,
    on_event: EventSink = ignore,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Reconstruct a folder or ZIP of photos into the folder ``out``.

    Parameters
    ----------
    photos, out : Path
        Input, and where everything goes; both must be visible to all workers under the same path.
    client : Client
        From :func:`reconflow.pipeline.cluster.open_client`, or any Dask client.
    config : PipelineConfig
        All settings.
    dataset : str, optional
        First column of the submission; the input's name by default.
    store : str, optional
        Path or URL of a store shared between runs; a folder of ``out`` by default.
    on_event : callable
        Hears every event, in the caller's thread.
    is_cancelled : callable
        Asked twice a second; the run ends with :class:`Cancelled` once it says so.

    Raises
    ------
    InputError
        If the input is no folder or ZIP, or fewer than three photos can be read.
    OutputError
        If ``out`` cannot be written, or another run is writing to it.
    ClusterError
        If no worker offers what is needed, or the scheduler is lost.
    Cancelled
        If the run was cancelled. What is stored stays: the same call goes on from there.

    """
    with RunFolder(out) as folder:
        files = open_photos(photos, unpack_to=folder.photos)
        root = open_root(store or str(folder.default_store))
        line = RunLine(uuid.uuid4().hex[:12])
        with Dispatcher(client, line, is_cancelled=is_cancelled) as dispatcher:
            work = _Run(folder, root, config, line, dispatcher, placement(client), on_event)
            return work.reconstruct(files, dataset or photos.stem)


class _Run:
    """One run's state as it goes from stage to stage."""

    def __init__(
        self,
        folder: RunFolder,
        root: Root,
        config: PipelineConfig,
        line: RunLine,
        dispatcher: Dispatcher,
        where: Placement,
        tell: EventSink,
    ):
        self.folder = folder
        self.root = root
        self.config = config
        self.line = line
        self.dispatcher = dispatcher
        self.where = where
        self.tell = tell
        self.timings_s: dict[str, float] = {}
        self.reused: dict[str, int] = {}
        self.unreadable: list[Unreadable] = []
        self.context = prepare(root, config, line, tell=tell)

    def reconstruct(self, files: Sequence[tuple[str, Path]], dataset: str) -> RunResult:
        """Go through all stages and return the result."""
        records = self._ingest(files)
        refs, encodings = self._extract(records)
        records = [record for record in records if record.sha256 in refs]
        self._require_enough(records)
        rig = assign_cameras(records, config=self.config.ingest)
        images = [TileImage(r.name, refs[r.sha256], rig.camera(r.name), encodings.get(r.sha256)) for r in records]
        keys = view_keys(records, rig)
        self._write_manifest(records, keys, dataset)
        pairs = self._shortlist(records, images)
        table = self._match(pairs, images, keys)
        summaries = table.summaries()
        split = self._split(records, summaries)
        loaded = self.dispatcher.begin(load_cloud_library, resources=self.where.compute)
        scenes = self._reconstruct(split, rig, table)
        clouds = self._clouds(scenes, loaded)
        facts = RunFacts(
            dataset=dataset,
            records=tuple(records),
            unreadable=tuple(self.unreadable),
            pairs=tuple(summaries),
            split=split,
            scenes=tuple(scenes),
            clouds=tuple(clouds),
            thumbnails=self._thumbnails(records),
            timings_s=self.timings_s,
            reused=self.reused,
        )
        return write_outputs(facts, self.folder)

    def _ingest(self, files: Sequence[tuple[str, Path]]) -> list[ImageRecord]:
        work = plan_ingest(files, slots=self.where.slots)
        records: list[ImageRecord] = []
        with self._stage("ingest", unit="photos", total=len(files)) as stage:
            for ended in self._do(work, tasks.ingest, stage, self.context):
                if isinstance(ended, Died):
                    self.unreadable += [Unreadable(name=name, reason=ended.reason) for name, _ in ended.task.files]
                else:
                    records += ended.outcome.records
                    self.unreadable += ended.outcome.unreadable
            stage.failed = len(self.unreadable)
        for bad in sorted(self.unreadable, key=lambda u: u.name):
            self.tell(Notice(stage="ingest", message=f"{bad.name} {bad.reason}"))
        records.sort(key=lambda record: record.name)
        self._require_enough(records)
        return records

    def _extract(self, records: Sequence[ImageRecord]) -> tuple[dict[str, tuple[ItemRef, ...]], dict[str, ItemRef]]:
        """Return the places of features and encodings by SHA-256, for photos that have all of them."""
        at_most = self.config.execution.images_per_extract_task
        stored = {name: FeatureStore(self.root, namespace).index() for name, namespace in self.context.features.items()}
        encodings: dict[str, ItemRef] = {}
        if self.context.encoder:
            encodings = EncodingStore(self.root, self.context.encodings).index()
        places = [*stored.values(), *([encodings] if self.context.encoder else [])]
        have = sum(record.sha256 in refs for refs in places for record in records)
        with self._stage("extract", unit="photos", total=len(records) * len(places), reused=have) as stage:
            for name, refs in stored.items():
                learned = EXTRACTORS[name].learned
                slots = self.where.learned_slots if learned else self.where.slots
                work = plan_extract(records, extractor=name, stored=refs, at_most=at_most, slots=slots)
                resources = self.where.learned if learned else self.where.compute
                before = stage.done - stage.reused
                for ended in self._do(work, tasks.extract, stage, self.context, resources=resources, before=before):
                    self._keep_extracted(ended, refs, stage)
            if self.context.encoder:
                self._encode(records, encodings, stage)
        complete = set.intersection(*(set(refs) for refs in places))
        return {sha256: tuple(refs[sha256] for refs in stored.values()) for sha256 in complete}, encodings

    def _encode(self, records: Sequence[ImageRecord], encodings: dict[str, ItemRef], stage: StageCounts) -> None:
        name, at_most = self.context.encoder, self.config.execution.images_per_extract_task
        work = plan_extract(records, extractor=name, stored=encodings, at_most=at_most, slots=self.where.learned_slots)
        before = stage.done - stage.reused
        where = self.where.learned
        for ended in self._do(work, tasks.encode, stage, self.context, resources=where, before=before):
            self._keep_extracted(ended, encodings, stage)

    def _keep_extracted(
        self, ended: Done[ExtractTask] | Died[ExtractTask], refs: dict[str, ItemRef], stage: StageCounts
    ) -> None:
        if isinstance(ended, Died):
            failed = {image.name: ended.reason for image in ended.task.images}
        else:
            refs.update(ended.outcome.refs)
            failed = ended.outcome.failed
        stage.failed += len(failed)
        known = {bad.name for bad in self.unreadable}
        for name, reason in failed.items():
            self.tell(Notice(stage="extract", message=f"{name}: {reason}"))
            if name not in known:
                self.unreadable.append(Unreadable(name=name, reason=f"no features: {reason}"))

    def _shortlist(self, records: Sequence[ImageRecord], images: Sequence[TileImage]) -> list[Pair]:
        retrieved: list[list[int]] = []
        with self._stage("shortlist", unit="photos", total=len(records)) as stage:
            if needs_retrieval(len(records), config=self.config.shortlist):
                encodings = tuple(image.encoding for image in images if image.encoding)
                work = RetrieveTask("retrieve", tuple(image.refs[0] for image in images), encodings)
                for ended in self._do([work], retrieve, stage, self.context):
                    if isinstance(ended, Died):
                        raise StageError(f"retrieval failed: {ended.reason}", stage="shortlist")
                    retrieved = ended.outcome
            pairs = shortlist_pairs(records, retrieved=retrieved, config=self.config.shortlist)
            stage.advance(len(records))
        return pairs

    def _match(self, pairs: Sequence[Pair], images: Sequence[TileImage], keys: Sequence[str]) -> PairTable:
        table = PairTable(pairs, images, keys, GeometryStore(self.root, self.context.geometries).index())
        side = self.config.execution.images_per_tile
        learned = needs_learned(self.config)
        where, slots = (
            (self.where.learned, self.where.learned_slots) if learned else (self.where.compute, self.where.slots)
        )
        work: list[MatchTask] = plan_matches(
            pairs, images=images, keys=keys, stored=table.stored, images_per_side=side, slots=slots
        )
        at_hand = read = 0
        with self._stage("match", unit="pairs", total=len(pairs), reused=table.count_stored()) as stage:
            for ended in self._do(work, tasks.match, stage, self.context, resources=where):
                if isinstance(ended, Died):
                    table.failed.update({pair.key: ended.reason for pair in ended.task.pairs})
                else:
                    table.stored.update(ended.outcome.pairs)
                    table.failed.update(ended.outcome.failed)
                    at_hand, read = at_hand + ended.outcome.at_hand, read + ended.outcome.read
            stage.failed = len(table.failed)
        logger.info("match: %d of %d feature sets were at hand", at_hand, at_hand + read)
        if table.failed:
            reason = min(table.failed.values())
            self.tell(Notice(stage="match", message=f"{len(table.failed)} pairs failed, the first because {reason}"))
        return table

    def _split(self, records: Sequence[ImageRecord], pairs: Sequence[PairSummary]) -> Split:
        with self._stage("split", unit="photos", total=len(records)) as stage:
            split = split_scenes([record.name for record in records], pairs=pairs, config=self.config.split)
            stage.advance(len(records))
        return split

    def _reconstruct(self, split: Split, rig: CameraRig, table: PairTable) -> list[MappedScene]:
        config = self.config.reconstruct
        share = mapper_share(self.where.mapper or 1, len(split.scenes))
        threads = config.threads or (share if self.where.mapper > 1 else self.where.mapper_threads)
        work = plan_mapping(
            split.scenes,
            images={image.name: image for image in table.images},
            camera_of=rig.camera_of,
            pairs=table.verified(),
            namespace=self.context.geometries,
            made_with=MADE_WITH,
            config=config,
            threads=threads,
            folder=self.folder.mappings,
        )
        have = sum(len(task) for task in work if Path(task.folder).exists())
        todo = [task for task in work if not Path(task.folder).exists()]
        resources = {MAPPER: float(share)} if self.where.mapper else {}
        failed: dict[str, str] = {}
        total = sum(len(task) for task in work)
        with self._stage("reconstruct", unit="photos", total=total, reused=have) as stage:
            for ended in self._do(todo, mapping.reconstruct, stage, self.root.url, self.line, resources=resources):
                reason = ended.reason if isinstance(ended, Died) else ended.outcome.failure
                if reason:
                    failed[ended.task.key] = reason
                    stage.failed += len(ended.task)
                    self.tell(Notice(stage="reconstruct", message=f"scene {ended.task.scene}: {reason}"))
        return [_mapped(task, failed.get(task.key, "")) for task in work]

    def _clouds(self, scenes: Sequence[MappedScene], loaded: Future) -> list[CloudOutcome]:
        config = self.config.cloud
        work = [
            CloudTask(key=name, name=name, model_folder=str(path), folder=str(self.folder.path), config=config)
            for scene in scenes
            for name, path in scene.models
        ]
        found: list[CloudOutcome] = []
        with self._stage("cloud", unit="models", total=len(work)) as stage:
            for ended in self._do(work, write_clouds, stage, loaded):
                if isinstance(ended, Died):
                    found += [CloudOutcome(ended.task.name, 0, 0, ended.reason)]
                else:
                    found += [ended.outcome]
        for outcome in found:
            if outcome.failure:
                self.tell(Notice(stage="cloud", message=f"{outcome.name}: {outcome.failure}"))
        return sorted(found, key=lambda outcome: outcome.name)

    def _thumbnails(self, records: Sequence[ImageRecord]) -> dict[str, bytes]:
        work = plan_thumbnails(records, at_most=MOST_THUMBNAILS, slots=self.where.slots)
        found: dict[str, bytes] = {}
        with self._stage("report", unit="photos", total=sum(len(task) for task in work)) as stage:
            for ended in self._do(work, make_thumbnails, stage):
                if isinstance(ended, Done):
                    found.update(ended.outcome)
        return found

    def _do(
        self,
        work: Sequence[TaskT],
        body: Callable[..., Any],
        stage: StageCounts,
        *arguments: Any,
        resources: dict[str, float] | None = None,
        before: int = 0,
    ) -> Generator[Done[TaskT] | Died[TaskT]]:
        where = self.where.compute if resources is None else resources
        for step in self.dispatcher.run(work, body, stage=stage.name, resources=where, arguments=arguments):
            if isinstance(step, Advanced):
                stage.advance(before + step.done, step.detail)
            else:
                yield step

    @contextlib.contextmanager
    def _stage(self, name: str, *, unit: str, total: int, reused: int = 0) -> Generator[StageCounts]:
        stage = StageCounts(name, unit, total, reused, self.tell)
        yield stage
        self.timings_s[name] = stage.finish()
        self.reused[name] = reused

    def _require_enough(self, records: Sequence[ImageRecord]) -> None:
        if len(records) < FEWEST_IMAGES:
            why = f"; {self.unreadable[0].name} {self.unreadable[0].reason}" if self.unreadable else ""
            raise TooFewImagesError(
                f"{len(records)} readable photos found, and a reconstruction needs at least {FEWEST_IMAGES}{why}"
            )

    def _write_manifest(self, records: Sequence[ImageRecord], keys: Sequence[str], dataset: str) -> None:
        self.folder.write_records(records, keys)
        manifest = RunManifest(
            url=self.root.url, features=tuple(self.context.features.values()), geometries=self.context.geometries
        )
        facts = {"dataset": dataset, "slots": self.where.slots, "mapper_threads": self.where.mapper_threads}
        sections = {"run": facts, "versions": versions(), "config": config_to_tree(self.config)}
        self.folder.write_manifest(manifest, sections=sections)


def _mapped(task: MappingTask, failure: str) -> MappedScene:
    if failure:
        return MappedScene(task.scene, (), {image.name: failure for image in task.images})
    summary = read_summary(Path(task.folder))
    models = tuple(
        (f"cluster{task.scene}_model{number}", Path(task.folder) / name) for number, name in enumerate(summary.models)
    )
    return MappedScene(task.scene, models, summary.unregistered)
