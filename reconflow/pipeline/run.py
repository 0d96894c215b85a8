"""A run from photos to models: asks the planner what is left, has it done, and keeps what came of it.

The order is that of the stages. Everything heavy happens in tasks on workers; this process holds records, keys and
verified pairs, never features.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from distributed import Client

from reconflow.config import PipelineConfig
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.scenes import FEWEST_IMAGES, Split
from reconflow.errors import TooFewImagesError
from reconflow.nets.methods import parse_methods
from reconflow.pipeline import tasks
from reconflow.pipeline.cluster import COMPUTE, PATIENCE_S, placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.dispatch import Died, Dispatcher, Done
from reconflow.pipeline.events import EventSink, Notice, ignore
from reconflow.pipeline.gpus import unused_gpu
from reconflow.pipeline.modelling import Modelling
from reconflow.pipeline.outputs import RunFacts, note_run, write_outputs
from reconflow.pipeline.pairing import Pairing
from reconflow.pipeline.photos import open_photos
from reconflow.pipeline.plan import plan_ingest, plan_thumbnails
from reconflow.pipeline.preparation import prepare, replaced_settings, settle
from reconflow.pipeline.result import RunResult
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.sight import Sight
from reconflow.pipeline.stage_work import StageWork
from reconflow.pipeline.thumbnails import MOST_THUMBNAILS, make_thumbnails
from reconflow.pipeline.turning import upright
from reconflow.stages.cameras import assign_cameras
from reconflow.stages.split import split_scenes
from reconflow.store.root import Root, open_root
from reconflow.store.run_folder import RunFolder


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
            context = prepare(
                root, config, line, where=where, photos=len(files), tell=on_event, is_cancelled=is_cancelled
            )
            if before := replaced_settings(folder.path, context.config):
                kept = "another folder with the same store keeps both"
                on_event(Notice(stage="ingest", message=f"the result here, of {before}, is replaced: {kept}"))
            own_cores = client.cluster is not None and COMPUTE in where.learned
            if own_cores and context.upright and (hint := unused_gpu()):
                on_event(Notice(stage="ingest", message=hint))
            work = StageWork(dispatcher, where, on_event)
            return _Run(folder, root, context, work, watched).reconstruct(files, dataset or photos.stem)


class _Run:
    """One run's state as it goes from stage to stage."""

    def __init__(self, folder: RunFolder, root: Root, context: RunContext, work: StageWork, watched: bool):
        self.folder = folder
        self.context = context
        self.config = context.config
        self.work = work
        self.unreadable: list[Unreadable] = []
        self.sight = Sight(work, root, context)
        self.pairing = Pairing(work, self.sight, context)
        self.modelling = Modelling(work, folder, context, watched=watched)

    def reconstruct(self, files: Sequence[tuple[str, Path]], dataset: str) -> RunResult:
        """Go through all stages and return the result."""
        records = self._ingest(files)
        if self.context.upright:
            records = [upright(record) for record in records]
        seen = self.sight.extract(records)
        self.unreadable += [Unreadable(name=n, reason=f"no features: {reason}") for n, reason in seen.failed.items()]
        records = [record for record in records if record in seen]
        self._require_enough(records)
        rig = assign_cameras(records, config=self.config.ingest)
        note = partial(note_run, self.folder, rig=rig, dataset=dataset, context=self.context, where=self.work.where)
        note(records)
        pairs = self.pairing.shortlist(records, [seen.image(record, rig) for record in records])
        table = self.sight.match(records, pairs, seen=seen, rig=rig)
        settled, table = self.pairing.turn(records, rig, table)
        if settled != records:
            records = settled
            note(records)
        summaries = table.summaries()
        split = self._split(records, summaries)
        scenes, clouds = self.modelling.build(split, rig, table)
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

    def _split(self, records: Sequence[ImageRecord], pairs: Sequence[PairSummary]) -> Split:
        with self.work.stage("split", unit="photos", total=len(records)) as stage:
            split = split_scenes([record.name for record in records], pairs=pairs, config=self.config.split)
            stage.advance(len(records))
        return split

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
