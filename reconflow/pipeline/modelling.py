"""What becomes of scenes: models by the mapper, and their point clouds."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from distributed import Future

from reconflow.core.scenes import Split
from reconflow.pipeline import mapping
from reconflow.pipeline.cloud import CloudOutcome, load_cloud_library, write_clouds
from reconflow.pipeline.cluster import MAPPER
from reconflow.pipeline.dispatch import Died
from reconflow.pipeline.events import Notice
from reconflow.pipeline.mapper_job import read_summary
from reconflow.pipeline.outputs import MappedScene
from reconflow.pipeline.pair_table import PairTable
from reconflow.pipeline.plan import mapper_share, plan_mapping
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.stage_work import StageWork
from reconflow.pipeline.work_items import CloudTask, MappingTask
from reconflow.stages.cameras import CameraRig
from reconflow.stages.reconstruct import MADE_WITH
from reconflow.store.run_folder import RunFolder


class Modelling:
    """Maps the scenes of one run.

    Parameters
    ----------
    work : StageWork
        Does the tasks.
    folder : RunFolder
        Where mappings and clouds go.
    context : RunContext
        What the run is.
    watched : bool
        Whether points of scenes that are being mapped lie in the folder meanwhile.

    """

    def __init__(self, work: StageWork, folder: RunFolder, context: RunContext, *, watched: bool):
        self._work = work
        self._folder = folder
        self._context = context
        self._watched = watched

    def build(self, split: Split, rig: CameraRig, table: PairTable) -> tuple[list[MappedScene], list[CloudOutcome]]:
        """Return every scene mapped, and the clouds of all models."""
        loaded = self._work.dispatcher.begin(load_cloud_library, resources=self._work.where.compute)
        scenes = self._reconstruct(split, rig, table)
        return scenes, self._clouds(scenes, loaded)

    def _reconstruct(self, split: Split, rig: CameraRig, table: PairTable) -> list[MappedScene]:
        config = self._context.config.reconstruct
        share = mapper_share(self._work.where.mapper or 1, len(split.scenes))
        threads = config.threads or (share if self._work.where.mapper > 1 else self._work.where.mapper_threads)
        work = plan_mapping(
            split.scenes,
            images={image.name: image for image in table.images},
            camera_of=rig.camera_of,
            pairs=table.verified(),
            namespace=self._context.geometries,
            made_with=MADE_WITH,
            config=config,
            threads=threads,
            folder=self._folder.mappings,
        )
        if self._watched:
            work = [msgspec.structs.replace(task, live=str(self._folder.live / f"{task.key}.bin")) for task in work]
        have = sum(len(task) for task in work if Path(task.folder).exists())
        todo = [task for task in work if not Path(task.folder).exists()]
        resources = {MAPPER: float(share)} if self._work.where.mapper else {}
        failed: dict[str, str] = {}
        total = sum(len(task) for task in work)
        shutil.rmtree(self._folder.live, ignore_errors=True)  # of an earlier try
        with self._work.stage("reconstruct", unit="photos", total=total, reused=have) as stage:
            for ended in self._work.do(
                todo, mapping.reconstruct, stage, self._context.store, self._context.line, resources=resources
            ):
                reason = ended.reason if isinstance(ended, Died) else ended.outcome.failure
                if reason:
                    failed[ended.task.key] = reason
                    stage.failed += len(ended.task)
                    self._work.tell(Notice(stage="reconstruct", message=f"scene {ended.task.scene}: {reason}"))
        shutil.rmtree(self._folder.live, ignore_errors=True)
        return [_mapped(task, failed.get(task.key, "")) for task in work]

    def _clouds(self, scenes: Sequence[MappedScene], loaded: Future) -> list[CloudOutcome]:
        config = self._context.config.cloud
        work = [
            CloudTask(key=name, name=name, model_folder=str(path), folder=str(self._folder.path), config=config)
            for scene in scenes
            for name, path in scene.models
        ]
        found: list[CloudOutcome] = []
        with self._work.stage("cloud", unit="models", total=len(work)) as stage:
            for ended in self._work.do(work, write_clouds, stage, loaded):
                if isinstance(ended, Died):
                    found += [CloudOutcome(ended.task.name, 0, ended.reason)]
                else:
                    found += [ended.outcome]
        for outcome in found:
            if outcome.failure:
                self._work.tell(Notice(stage="cloud", message=f"{outcome.name}: {outcome.failure}"))
        return sorted(found, key=lambda outcome: outcome.name)


def _mapped(task: MappingTask, failure: str) -> MappedScene:
    if failure:
        return MappedScene(task.scene, (), {image.name: failure for image in task.images})
    summary = read_summary(Path(task.folder))
    models = tuple(
        (f"cluster{task.scene}_model{number}", Path(task.folder) / name) for number, name in enumerate(summary.models)
    )
    return MappedScene(task.scene, models, summary.unregistered)
