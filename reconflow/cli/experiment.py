"""``reconflow experiment SETS… --grid FILE --out DIR``."""

import argparse
import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reconflow.cli.encryption import security_of
from reconflow.cli.run import add_cluster_options, stop_on_signals
from reconflow.errors import DependencyError, InputError

if TYPE_CHECKING:
    from reconflow.config import PipelineConfig
    from reconflow.jobs.experiment import Experiment, LabelledSet

_EPILOG = """\
examples:
  reconflow experiment sets/church sets/bridge --grid grid.toml --out experiment
  reconflow experiment sets --grid grid.toml --out experiment --promote reconflow.toml --baseline drift-baseline.json

A set is a folder with images/, truth.csv and thresholds.csv. A grid is TOML:
  [match]
  ratio = [0.75, 0.8]

The current configuration, that of --promote or --current, is always measured too, and is replaced only by one whose
mean score is better. Running the same command again goes on from what is stored."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "experiment",
        help="try a grid of settings on labelled photos and promote the best",
        description="Score a grid of configurations on photos whose poses are known, and promote the best one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET", help="a labelled set, or a folder of them")
    parser.add_argument("--grid", type=Path, required=True, metavar="FILE", help="TOML: lists of values by option")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results and runs go")
    parser.add_argument(
        "--current", type=Path, metavar="FILE", help="configuration in use (default: that of --promote)"
    )
    parser.add_argument(
        "--promote", type=Path, metavar="FILE", help="write the best configuration here if it is better"
    )
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="rebuild the drift baseline from the sets")
    parser.add_argument("--validate", action="store_true", help="check grid and sets, run nothing")
    parser.add_argument("--mlflow", action="store_true", help="log to MLflow too, where MLFLOW_TRACKING_URI says")
    add_cluster_options(parser)
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run what is missing, print the standings, promote."""
    from reconflow.jobs import experiment as search

    if arguments.workers is not None and arguments.workers < 1:
        raise InputError(f"--workers must be at least 1, got {arguments.workers}")
    if arguments.mlflow and importlib.util.find_spec("mlflow") is None:
        raise DependencyError("--mlflow needs MLflow: pip install mlflow")
    current = search.current_config(arguments.current or arguments.promote)
    trials = search.plan_trials(search.read_grid(arguments.grid), current)
    sets = search.find_sets(arguments.sets)
    console = Console()
    console.print(f"{len(trials)} configurations on {len(sets)} sets", highlight=False)
    if arguments.validate:
        return 0
    found = _run(arguments, trials, sets, console)
    _print(found, console)
    if arguments.mlflow:
        _log(found)
    if arguments.baseline:
        n_scenes = search.rebuild_baseline(sets, arguments.baseline)
        console.print(f"Drift baseline of {n_scenes} scenes: {escape(str(arguments.baseline))}", highlight=False)
    if arguments.promote:
        replaced = search.promote(found, arguments.promote)
        verdict = f"Promoted: [bold]{escape(found.best.trial)}[/]" if replaced else "Nothing is better: settings stay"
        console.print(verdict, highlight=False)
    return 0


def _run(arguments: argparse.Namespace, trials: Any, sets: Any, console: Console) -> "Experiment":
    from reconflow.jobs.experiment import Result, run_experiment
    from reconflow.pipeline.cluster import open_client
    from reconflow.pipeline.run import run

    def tell(result: Result) -> None:
        console.print(f"{result.set}  {100 * result.score:5.1f}  {result.trial}", markup=False, highlight=False)

    with (
        stop_on_signals() as stopped,
        open_client(arguments.scheduler, workers=arguments.workers, security=security_of(arguments)) as client,
    ):

        def reconstruct(labelled: "LabelledSet", folder: Path, config: "PipelineConfig") -> Path:
            done = run(
                labelled.images,
                folder,
                client=client,
                config=config,
                dataset=labelled.name,
                store=str(arguments.out.absolute() / "store"),
                is_cancelled=stopped.is_set,
            )
            return done.folder / "submission.csv"

        return run_experiment(trials, sets, arguments.out, reconstruct=reconstruct, on_result=tell)


def _print(found: "Experiment", console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("configuration", overflow="fold")
    for name in ("mean score", "seconds"):
        table.add_column(name, justify="right")
    for standing in found.standings:
        table.add_row(escape(standing.trial), f"{100 * standing.mean_score:.1f}", f"{standing.seconds:.1f}")
    console.print()
    console.print(table)


def _log(found: "Experiment") -> None:
    mlflow: Any = importlib.import_module("mlflow")
    try:
        mlflow.set_experiment("reconflow")
        for standing in found.standings:
            with mlflow.start_run(run_name=standing.trial):
                tree = msgspec.to_builtins(found.configs[standing.trial])
                mlflow.log_params({f"{s}.{name}": value for s, table in tree.items() for name, value in table.items()})
                mlflow.log_metrics({"mean_score": standing.mean_score, "seconds": standing.seconds})
                own = [result for result in found.results if result.trial == standing.trial]
                mlflow.log_metrics({f"score_{result.set}": result.score for result in own})
    except mlflow.exceptions.MlflowException as error:
        first = str(error).partition("\n")[0]
        raise DependencyError(f"the results are stored, but MLflow does not take them: {first}") from error
