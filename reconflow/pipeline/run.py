"""A run from photos to models: asks the planner what is left, has it done, and keeps what came of it.

The order is that of the stages. Everything heavy happens in tasks on workers; this process holds records, keys and
verified pairs, never features.
"""

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from distributed import Client, Future

from reconflow.config import PipelineConfig, config_to_tree
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.pairs import Pair
from reconflow.core.scenes import FEWEST_IMAGES, Split
from reconflow.core.turns import upright_quarters
from reconflow.errors import StageError, TooFewImagesError
from reconflow.nets.methods import parse_methods
from reconflow.nets.retrievers import VLAD, parse_retrievers
from reconflow.pipeline import mapping, tasks
from reconflow.pipeline.cloud import CloudOutcome, load_cloud_library, write_clouds
from reconflow.pipeline.cluster import COMPUTE, MAPPER, PATIENCE_S, Placement, placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.dispatch import Died, Dispatcher, Done
from reconflow.pipeline.events import EventSink, Notice, ignore
from reconflow.pipeline.gpus import unused_gpu
from reconflow.pipeline.mapper_job import read_summary
from reconflow.pipeline.outputs import MappedScene, RunFacts, write_outputs
from reconflow.pipeline.pair_table import PairTable
from reconflow.pipeline.photos import open_photos
from reconflow.pipeline.plan import mapper_share, plan_ingest, plan_mapping, plan_thumbnails, view_keys
from reconflow.pipeline.preparation import prepare, replaced_settings, settle
from reconflow.pipeline.result import RunResult
from reconflow.pipeline.retrieval import retrieve
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.sight import Sight
from reconflow.pipeline.stage_work import StageWork
from reconflow.pipeline.thumbnails import MOST_THUMBNAILS, make_thumbnails
from reconflow.pipeline.turning import turned, turned_to_match
from reconflow.pipeline.versions import versions
from reconflow.pipeline.work_items import CloudTask, MappingTask, RetrieveTask, TileImage
from reconflow.stages.cameras import CameraRig, assign_cameras
from reconflow.stages.reconstruct import MADE_WITH
from reconflow.stages.shortlist import needs_retrieval, shortlist_pairs
from reconflow.stages.split import split_scenes
from reconflow.store.root import Root, open_root
from reconflow.store.run_folder import RunFolder, RunManifest


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
    watched: bool = False,
    patience_s: float = PATIENCE_S,
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
        Asked several times a second; the run ends with :class:`Cancelled` once it says so.
    watched : bool
        Whether points of scenes that are being mapped lie in ``work/live`` meanwhile, for viewers.
    patience_s : float
        How long to wait for workers when none is there, or none of a kind that is needed.

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
        line = RunLine(uuid.uuid4().hex[:12])
        dispatcher = Dispatcher(client, line, is_cancelled=is_cancelled, patience_s=patience_s)
        files = open_photos(photos, unpack_to=folder.photos, check=dispatcher.check)
        root = open_root(store or str(folder.default_store))
        with dispatcher:
            where = placement(client, timeout_s=patience_s, is_cancelled=is_cancelled)
            config = settle(config, where=where, tell=on_event)
            if before := replaced_settings(folder.path, config):
                kept = "another folder with the same store keeps both"
                on_event(Notice(stage="ingest", message=f"the result here, of {before}, is replaced: {kept}"))
            context = prepare(
                root, config, line, where=where, photos=len(files), tell=on_event, is_cancelled=is_cancelled
            )
            own_cores = client.cluster is not None and COMPUTE in where.learned
            if own_cores and context.upright and (hint := unused_gpu()):
                on_event(Notice(stage="ingest", message=hint))
            work = _Run(folder, root, config, context, dispatcher, where, on_event, watched)
            return work.reconstruct(files, dataset or photos.stem)


class _Run:
    """One run's state as it goes from stage to stage."""

    def __init__(
        self,
        folder: RunFolder,
        root: Root,
        config: PipelineConfig,
        context: RunContext,
        dispatcher: Dispatcher,
        where: Placement,
        tell: EventSink,
        watched: bool,
    ):
        self.folder = folder
        self.root = root
        self.config = config
        self.context = context
        self.work = StageWork(dispatcher, where, tell)
        self.watched = watched
        self.unreadable: list[Unreadable] = []
        self.sight = Sight(self.work, root, context)

    def reconstruct(self, files: Sequence[tuple[str, Path]], dataset: str) -> RunResult:
        """Go through all stages and return the result."""
        records = self._ingest(files)
        if self.context.upright:
            records = [turned(record, upright_quarters(record.orientation)) for record in records]
        seen = self.sight.extract(records)
        self.unreadable += [Unreadable(name=n, reason=f"no features: {reason}") for n, reason in seen.failed.items()]
        records = [record for record in records if record in seen]
        self._require_enough(records)
        rig = assign_cameras(records, config=self.config.ingest)
        self._write_manifest(records, rig, dataset)
        pairs = self._shortlist(records, [seen.image(record, rig) for record in records])
        table = self.sight.match(records, pairs, seen=seen, rig=rig)
        if self.context.upright and self.config.shortlist.turns:
            settled, table = self._turn(records, rig, table)
            if settled != records:
                records = settled
                self._write_manifest(records, rig, dataset)
        summaries = table.summaries()
        split = self._split(records, summaries)
        loaded = self.work.dispatcher.begin(load_cloud_library, resources=self.work.where.compute)
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
            methods=" and ".join(map(str, parse_methods(self.config.extract.extractor, self.config.match.matcher))),
            timings_s=self.work.timings_s,
            reused=self.work.reused,
        )
        return write_outputs(facts, self.folder, check=self.work.dispatcher.check)

    def _ingest(self, files: Sequence[tuple[str, Path]]) -> list[ImageRecord]:
        work = plan_ingest(files, slots=self.work.where.slots)
        records: list[ImageRecord] = []
        with self.work.stage("ingest", unit="photos", total=len(files)) as stage:
            for ended in self.work.do(work, tasks.ingest, stage, self.context):
                if isinstance(ended, Died):
                    self.unreadable += [Unreadable(name=name, reason=ended.reason) for name, _ in ended.task.files]
                else:
                    records += ended.outcome.records
                    self.unreadable += ended.outcome.unreadable
            stage.failed = len(self.unreadable)
        for bad in sorted(self.unreadable, key=lambda u: u.name):
            self.work.tell(Notice(stage="ingest", message=f"{bad.name} {bad.reason}"))
        records.sort(key=lambda record: record.name)
        self._require_enough(records)
        return records

    def _shortlist(self, records: Sequence[ImageRecord], images: Sequence[TileImage]) -> list[Pair]:
        retrieved: list[list[int]] = []
        large = needs_retrieval(len(records), config=self.config.shortlist)
        # The matcher's encoder has seen the photos before.
        more = [name for name in self.context.encodings if name != self.context.encoder] if large else []
        stored = {name: self.sight.encoded(name) for name in more}
        upright = [turned(record, upright_quarters(record.orientation)) for record in records]
        have = sum(record.content in refs for refs in stored.values() for record in upright)
        total = len(records) * (1 + len(more))
        with self.work.stage("shortlist", unit="photos", total=total, reused=have) as stage:
            if large:
                encodings = [tuple(image.encoding for image in images)] if self.context.encoder else []
                encodings += [self.sight.encode(upright, name, refs, stage) for name, refs in stored.items()]
                has_vote = VLAD in parse_retrievers(self.config.shortlist.retrieval)
                features = tuple(image.refs[0] for image in images) if has_vote else ()
                work = RetrieveTask("retrieve", len(records), features, tuple(encodings))
                before = stage.done - stage.reused
                for ended in self.work.do([work], retrieve, stage, self.context, before=before):
                    if isinstance(ended, Died):
                        raise StageError(f"retrieval failed: {ended.reason}", stage="shortlist")
                    retrieved = ended.outcome
            pairs = shortlist_pairs(records, retrieved=retrieved, config=self.config.shortlist)
            stage.advance(total)
        return pairs

    def _turn(
        self, records: Sequence[ImageRecord], rig: CameraRig, table: PairTable
    ) -> tuple[list[ImageRecord], PairTable]:
        """Try what does not match in quarter turns; return the photos as they stand now, and all pairs matched so."""

        def look(views: Sequence[ImageRecord], pairs: Sequence[Pair]) -> dict[Pair, PairSummary]:
            seen = self.sight.extract(views)
            place = {old: new for new, old in enumerate(n for n, view in enumerate(views) if view in seen)}
            have = [(a, b) for a, b in pairs if a in place and b in place]
            tried = self.sight.match(
                [views[n] for n in place], [(place[a], place[b]) for a, b in have], seen=seen, rig=rig
            )
            return dict(zip(have, tried.summaries(), strict=True))

        with self.work.second_look("turn"):
            settled = turned_to_match(records, table.pairs, table.summaries(), look=look)
            count = sum(one != other for one, other in zip(settled, records, strict=True))
            if count:
                seen = self.sight.extract(settled)
                settled = [one if one in seen else other for one, other in zip(settled, records, strict=True)]
                table = self.sight.match(settled, table.pairs, seen=seen, rig=rig)
                self.work.tell(Notice(stage="turn", message=f"{count} photos match the others once they are turned"))
        return settled, table

    def _split(self, records: Sequence[ImageRecord], pairs: Sequence[PairSummary]) -> Split:
        with self.work.stage("split", unit="photos", total=len(records)) as stage:
            split = split_scenes([record.name for record in records], pairs=pairs, config=self.config.split)
            stage.advance(len(records))
        return split

    def _reconstruct(self, split: Split, rig: CameraRig, table: PairTable) -> list[MappedScene]:
        config = self.config.reconstruct
        share = mapper_share(self.work.where.mapper or 1, len(split.scenes))
        threads = config.threads or (share if self.work.where.mapper > 1 else self.work.where.mapper_threads)
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
        if self.watched:
            work = [msgspec.structs.replace(task, live=str(self.folder.live / f"{task.key}.bin")) for task in work]
        have = sum(len(task) for task in work if Path(task.folder).exists())
        todo = [task for task in work if not Path(task.folder).exists()]
        resources = {MAPPER: float(share)} if self.work.where.mapper else {}
        failed: dict[str, str] = {}
        total = sum(len(task) for task in work)
        shutil.rmtree(self.folder.live, ignore_errors=True)  # of an earlier try
        with self.work.stage("reconstruct", unit="photos", total=total, reused=have) as stage:
            for ended in self.work.do(
                todo, mapping.reconstruct, stage, self.root.url, self.context.line, resources=resources
            ):
                reason = ended.reason if isinstance(ended, Died) else ended.outcome.failure
                if reason:
                    failed[ended.task.key] = reason
                    stage.failed += len(ended.task)
                    self.work.tell(Notice(stage="reconstruct", message=f"scene {ended.task.scene}: {reason}"))
        shutil.rmtree(self.folder.live, ignore_errors=True)
        return [_mapped(task, failed.get(task.key, "")) for task in work]

    def _clouds(self, scenes: Sequence[MappedScene], loaded: Future) -> list[CloudOutcome]:
        config = self.config.cloud
        work = [
            CloudTask(key=name, name=name, model_folder=str(path), folder=str(self.folder.path), config=config)
            for scene in scenes
            for name, path in scene.models
        ]
        found: list[CloudOutcome] = []
        with self.work.stage("cloud", unit="models", total=len(work)) as stage:
            for ended in self.work.do(work, write_clouds, stage, loaded):
                if isinstance(ended, Died):
                    found += [CloudOutcome(ended.task.name, 0, ended.reason)]
                else:
                    found += [ended.outcome]
        for outcome in found:
            if outcome.failure:
                self.work.tell(Notice(stage="cloud", message=f"{outcome.name}: {outcome.failure}"))
        return sorted(found, key=lambda outcome: outcome.name)

    def _thumbnails(self, records: Sequence[ImageRecord]) -> dict[str, bytes]:
        work = plan_thumbnails(records, at_most=MOST_THUMBNAILS, slots=self.work.where.slots)
        found: dict[str, bytes] = {}
        with self.work.stage("report", unit="photos", total=sum(len(task) for task in work)) as stage:
            for ended in self.work.do(work, make_thumbnails, stage, self.context.line):
                if isinstance(ended, Done):
                    found.update(ended.outcome)
        return found

    def _require_enough(self, records: Sequence[ImageRecord]) -> None:
        if len(records) < FEWEST_IMAGES:
            why = f"; {self.unreadable[0].name} {self.unreadable[0].reason}" if self.unreadable else ""
            raise TooFewImagesError(
                f"{len(records)} readable photos found, and a reconstruction needs at least {FEWEST_IMAGES}{why}"
            )

    def _write_manifest(self, records: Sequence[ImageRecord], rig: CameraRig, dataset: str) -> None:
        self.folder.write_records(records, view_keys(records, rig))
        manifest = RunManifest(
            url=self.root.url, features=tuple(self.context.features.values()), geometries=self.context.geometries
        )
        facts = {"dataset": dataset, "slots": self.work.where.slots, "mapper_threads": self.work.where.mapper_threads}
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
