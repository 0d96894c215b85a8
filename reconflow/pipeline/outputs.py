"""What a run leaves in its folder: models, CSV files and the report."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from reconflow.config import config_to_tree
from reconflow.core.clouds import PointCloud, read_ply
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.models import Model
from reconflow.core.pair_list import encode_pairs
from reconflow.core.scenes import Split
from reconflow.core.submission import write_poses
from reconflow.pipeline.cloud import CloudOutcome, decimated_ply
from reconflow.pipeline.cluster import Placement
from reconflow.pipeline.plan import view_keys
from reconflow.pipeline.result import RunResult
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.versions import versions
from reconflow.report.html import write_report
from reconflow.stages.cameras import CameraRig
from reconflow.stages.insights import IMAGE_COLUMNS, Insights, image_table, insights
from reconflow.stages.reconstruct import read_model
from reconflow.stages.submission import submission_rows
from reconflow.store.publish import publishing
from reconflow.store.run_folder import RunFolder, RunManifest

_OURS = re.compile(r"cluster\d+(_decimated)?_model\d+(\.ply)?")


class MappedScene(msgspec.Struct, frozen=True):
    """A scene after mapping: the name and folder of each of its models, and its lost photos with their reasons."""

    scene: int
    models: tuple[tuple[str, Path], ...]
    unregistered: dict[str, str]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the outputs are made of."""

    dataset: str
    records: tuple[ImageRecord, ...]
    unreadable: tuple[Unreadable, ...]
    pairs: tuple[PairSummary, ...]
    split: Split
    scenes: tuple[MappedScene, ...]
    clouds: tuple[CloudOutcome, ...]
    thumbnails: dict[str, bytes]
    methods: str
    timings_s: dict[str, float]
    reused: dict[str, int]


def note_run(
    folder: RunFolder,
    records: Sequence[ImageRecord],
    *,
    rig: CameraRig,
    dataset: str,
    context: RunContext,
    where: Placement,
) -> None:
    """Keep what a run works on, for notebooks that look into it, and its settings, which its result takes along."""
    folder.write_records(records, view_keys(records, rig))
    manifest = RunManifest(url=context.store, features=tuple(context.features.values()), geometries=context.geometries)
    facts = {"dataset": dataset, "slots": where.slots, "mapper_threads": where.mapper_threads}
    sections = {"run": facts, "versions": versions(), "config": config_to_tree(context.config)}
    folder.write_manifest(manifest, sections=sections)


def write_outputs(facts: RunFacts, folder: RunFolder, *, check: Callable[[], None] = lambda: None) -> RunResult:
    """Write every output of a finished run and return its result.

    ``check`` is called before each model and each file; where it raises, what is written stays, each file whole, and
    is no result: ``report.json``, which makes one of it, goes first and comes last.
    Models and clouds of an earlier run in the same folder that this run does not have are removed; nothing else is.
    """
    check()
    (folder.path / "report.json").unlink(missing_ok=True)
    models = _publish_models(facts.scenes, folder.path, check)
    check()
    _remove_stale(folder.path, {model.name for model in models})
    summary = insights(
        models,
        images=facts.records,
        unreadable=facts.unreadable,
        pairs=facts.pairs,
        split=facts.split,
        methods=facts.methods,
        timings_s=facts.timings_s,
        reused=facts.reused,
        unregistered={name: why for scene in facts.scenes for name, why in scene.unregistered.items()},
    )
    rows = submission_rows(models, images=[record.name for record in facts.records], dataset=facts.dataset)
    check()
    with publishing(folder.path / "submission.csv") as partial:
        write_poses(rows, partial)
    folder.write_bytes("images.csv", _image_csv(summary))
    folder.write_bytes("pairs.csv", encode_pairs(facts.pairs))
    check()
    write_report(
        folder.path / "report.html",
        insights=summary,
        models=models,
        clouds=_clouds(facts.clouds, folder.path, check),
        thumbnails=facts.thumbnails,
        pairs=facts.pairs,
        title=facts.dataset,
    )
    folder.publish_manifest()
    folder.write_bytes("report.json", msgspec.json.format(msgspec.json.encode(summary), indent=1))
    return RunResult(folder=folder.path, insights=summary, clusters=tuple(models))


def _publish_models(scenes: Sequence[MappedScene], out: Path, check: Callable[[], None]) -> list[Model]:
    models: list[Model] = []
    for scene in scenes:
        for name, source in scene.models:
            check()
            target = out / "models" / name
            shutil.rmtree(target, ignore_errors=True)
            with publishing(target) as partial:
                shutil.copytree(source, partial)
            models.append(read_model(target, name=name, unregistered=scene.unregistered))
    return models


def _remove_stale(out: Path, names: set[str]) -> None:
    for path in [*out.iterdir(), *(out / "models").glob("*")]:
        if _OURS.fullmatch(path.name) and path.name.removesuffix(".ply").replace("_decimated", "") not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _image_csv(summary: Insights) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([IMAGE_COLUMNS, *image_table(summary)])
    return text.getvalue().encode()


def _clouds(outcomes: Sequence[CloudOutcome], out: Path, check: Callable[[], None]) -> Mapping[str, PointCloud]:
    found: dict[str, PointCloud] = {}
    for outcome in outcomes:
        check()
        if not outcome.failure and outcome.decimated_points:
            found[outcome.name] = read_ply(decimated_ply(out, outcome.name))
    return found
