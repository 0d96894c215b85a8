"""The search for better settings: a grid of configurations, scored on photos whose poses are known.

A result is kept under a key that holds everything that made it, so that an experiment that was stopped, or is given
more of a grid or another set, only runs what is missing.
"""

import csv
import io
import itertools
import logging
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from reconflow.config import PipelineConfig, config_differences, config_from_tree, config_to_tree, load_config
from reconflow.errors import ConfigError, InputError, StageError, StoreError
from reconflow.store.keys import fingerprint
from reconflow.store.publish import publishing

logger = logging.getLogger(__name__)

CURRENT = "current"
MOST_TRIALS = 1000


class Trial(msgspec.Struct, frozen=True):
    """One configuration of the grid; its name says how it differs from the current one."""

    name: str
    config: PipelineConfig


class LabelledSet(msgspec.Struct, frozen=True):
    """Photos whose scenes and poses are known."""

    name: str
    """First column of its truth."""
    folder: Path

    @property
    def images(self) -> Path:
        """Its photos."""
        return self.folder / "images"

    @property
    def truth(self) -> Path:
        """What is known of them; ``thresholds.csv`` may stand beside it."""
        return self.folder / "truth.csv"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration on one set; scores are from 0 to 1."""

    trial: str
    set: str
    key: str
    score: float
    mAA: float  # noqa: N815 - the metric's name
    clusterness: float
    seconds: float
    error: str = ""
    """Why there is nothing to score: such a result counts as 0."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration over all sets."""

    trial: str
    mean_score: float
    seconds: float


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: configurations from best to worst, and everything they are judged by."""

    standings: tuple[Standing, ...]
    results: tuple[Result, ...]
    configs: dict[str, PipelineConfig]

    @property
    def best(self) -> Standing:
        """The first of the standings."""
        return self.standings[0]

    @property
    def current(self) -> Standing:
        """The standing of the configuration that is in use."""
        return next(standing for standing in self.standings if standing.trial == CURRENT)


Reconstruct = Callable[[LabelledSet, Path, PipelineConfig], Path]
"""Runs a set's photos with a configuration into a folder and returns the submission's CSV."""


def current_config(path: Path | None) -> PipelineConfig:
    """Return the configuration in use: that of the file, or the defaults where there is none yet."""
    return load_config(path if path is not None and path.exists() else None)


def read_grid(path: Path) -> dict[str, list[Any]]:
    """Return the values to try by option, ``"match.ratio" -> [0.7, 0.8]``, from tables or from dotted names.

    Raises
    ------
    ConfigError
        If the file cannot be read, or an option has no list of values.

    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the grid {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    grid: dict[str, Any] = {}
    for name, value in tree.items():
        grid.update(
            {f"{name}.{option}": v for option, v in value.items()} if isinstance(value, dict) else {name: value}
        )
    for name, values in grid.items():
        if "." not in name or not isinstance(values, list) or not values:
            raise ConfigError(f"grid: {name} needs a list of values, for example match.ratio = [0.75, 0.8]")
    return dict(sorted(grid.items()))


def plan_trials(grid: Mapping[str, Sequence[Any]], current: PipelineConfig) -> list[Trial]:
    """Return the current configuration and every other one of the grid's product, each once.

    Raises
    ------
    ConfigError
        If an option is unknown or out of range, or the product is too large to be meant.

    """
    trials = {_identity(current): Trial(CURRENT, current)}
    for values in itertools.product(*grid.values()):
        tree = config_to_tree(current)
        for name, value in zip(grid, values, strict=True):
            section, _, option = name.partition(".")
            tree.setdefault(section, {})[option] = value
        config = config_from_tree(tree)
        described = ", ".join(f"{name}={value}" for name, value in zip(grid, values, strict=True))
        trials.setdefault(_identity(config), Trial(described, config))
        if len(trials) > MOST_TRIALS:
            raise ConfigError(f"the grid has more than {MOST_TRIALS} configurations: leave some values out")
    return list(trials.values())


def find_sets(folders: Sequence[Path]) -> list[LabelledSet]:
    """Return the labelled sets of these folders, sorted by name; a folder of sets counts as all of them.

    Raises
    ------
    InputError
        If a folder holds no set, or two sets have one name.

    """
    from reconflow.core.submission import read_poses

    found: dict[str, LabelledSet] = {}
    for folder in folders:
        inside = [folder] if (folder / "truth.csv").is_file() else sorted(p.parent for p in folder.glob("*/truth.csv"))
        if not inside:
            raise InputError(f"{folder} is no labelled set: it needs images/ and truth.csv")
        for place in inside:
            datasets = {row.dataset for row in read_poses(place / "truth.csv")}
            if len(datasets) != 1 or not (place / "images").is_dir():
                raise InputError(f"{place} is no labelled set: it needs images/ and one dataset in truth.csv")
            # The sample of every seed calls itself alike: the folder's name tells sets apart, the truth's scores them.
            if place.resolve().name in found:
                raise InputError(f"two sets are called {place.resolve().name}: rename a folder")
            found[place.resolve().name] = LabelledSet(datasets.pop(), place)
    return [found[name] for name in sorted(found)]


def run_experiment(
    trials: Sequence[Trial],
    sets: Sequence[LabelledSet],
    out: Path,
    *,
    reconstruct: Reconstruct,
    on_result: Callable[[Result], None] = lambda _: None,
) -> Experiment:
    """Score every trial on every set, but for what ``out`` has already, and write ``results.csv`` and ``results.json``.

    A run that ends in nothing counts as 0. Errors of the cluster, the disk or the sets end the experiment: what they
    hit says nothing about a configuration.
    """
    from reconflow.pipeline.versions import versions

    made_with = versions()
    contents = {labelled.folder: _content(labelled) for labelled in sets}
    results: list[Result] = []
    for trial, labelled in itertools.product(trials, sets):
        key = fingerprint(_identity(trial.config), contents[labelled.folder], made_with)[:32]
        file = out / "results" / f"{key}.json"
        result = _stored(file)
        if result is None:
            result = _score(trial, labelled, key, out / "runs" / key, reconstruct)
            with publishing(file) as partial:
                partial.write_bytes(msgspec.json.encode(result))
        # The same configuration may have had another name in an earlier grid.
        result = msgspec.structs.replace(result, trial=trial.name, set=labelled.folder.resolve().name)
        results.append(result)
        on_result(result)
    experiment = Experiment(
        standings=_standings(trials, results),
        results=tuple(results),
        configs={trial.name: trial.config for trial in trials},
    )
    _write(experiment, out)
    return experiment


def promote(experiment: Experiment, path: Path) -> bool:
    """Write the best configuration to ``path`` unless the current one is as good, and return whether it was replaced.

    Where there is no file yet, the current configuration is written when it stays, so that the file can be relied on.
    Only differences from the defaults are written: presets still work on top of it.
    """
    winner = experiment.best  # of equals the current one stands first
    replaced = winner.trial != CURRENT
    if not replaced and path.exists():
        return False
    tree = config_differences(experiment.configs[winner.trial])
    title = f"# {winner.trial}: mean score {winner.mean_score:.4f}, before {experiment.current.mean_score:.4f}\n\n"
    with publishing(path) as partial:
        partial.write_text(title + tomli_w.dumps(tree), encoding="utf-8")
    return replaced


def rebuild_baseline(sets: Sequence[LabelledSet], path: Path) -> int:
    """Write the drift baseline of the sets' scenes, strays left out, and return how many scenes that are.

    An upload is one scene: a set of several counts as several.
    """
    from reconflow.core.submission import OUTLIERS, read_poses
    from reconflow.jobs.drift import summarize, write_baseline

    photos: dict[str, list[tuple[str, Path]]] = {}
    for labelled in sets:
        for row in read_poses(labelled.truth):
            if row.scene != OUTLIERS:
                scene = f"{labelled.folder.resolve().name}/{row.scene}"
                photos.setdefault(scene, []).append((row.image, labelled.images / row.image))
    write_baseline({scene: summarize(files) for scene, files in photos.items()}, path)
    return len(photos)


def _identity(config: PipelineConfig) -> str:
    """Return what tells configurations apart: how work is cut changes no result."""
    tree = config_to_tree(config)
    return fingerprint({section: options for section, options in tree.items() if section != "execution"})


def _content(labelled: LabelledSet) -> str:
    import hashlib

    from reconflow.stages.ingest import list_photos

    files = list_photos(labelled.images)
    files += [(p.name, p) for p in (labelled.truth, labelled.folder / "thresholds.csv") if p.is_file()]
    parts: list[list[str]] = []
    for name, path in files:
        with path.open("rb") as file:
            parts.append([name, hashlib.file_digest(file, "sha256").hexdigest()])
    return fingerprint(parts)


def _stored(file: Path) -> Result | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Result)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"the result {file} cannot be read ({error}): remove it and it is made again") from error


def _score(trial: Trial, labelled: LabelledSet, key: str, folder: Path, reconstruct: Reconstruct) -> Result:
    from reconflow.evaluation.files import evaluate_files

    name, started = labelled.folder.resolve().name, time.monotonic()
    logger.info("running %s on %s", trial.name, name)
    try:
        submission = reconstruct(labelled, folder, trial.config)
    except StageError as error:
        seconds = round(time.monotonic() - started, 3)
        return Result(
            trial=trial.name, set=name, key=key, score=0, mAA=0, clusterness=0, seconds=seconds, error=error.message
        )
    seconds = round(time.monotonic() - started, 3)
    score = evaluate_files(labelled.truth, submission, lenient=True)
    return Result(
        trial=trial.name,
        set=name,
        key=key,
        score=score.final,
        mAA=score.mAA,
        clusterness=score.clusterness,
        seconds=seconds,
    )


def _standings(trials: Sequence[Trial], results: Sequence[Result]) -> tuple[Standing, ...]:
    """Return the trials from best to worst; of equals, the one that was named first, so the current one, leads."""
    standings: list[Standing] = []
    for trial in trials:
        own = [result for result in results if result.trial == trial.name]
        mean = sum(result.score for result in own) / len(own)
        standings.append(Standing(trial=trial.name, mean_score=mean, seconds=sum(result.seconds for result in own)))
    return tuple(sorted(standings, key=lambda standing: -standing.mean_score))


def _write(experiment: Experiment, out: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, msgspec.structs.asdict(experiment.results[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.structs.asdict(result) for result in experiment.results)
    with publishing(out / "results.csv") as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
    with publishing(out / "results.json") as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(experiment), indent=1))
