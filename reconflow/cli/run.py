"""``reconflow run PHOTOS --out DIR``."""

import argparse
import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reconflow.cli.encryption import add_tls_options, security_of
from reconflow.config import PipelineConfig, load_config
from reconflow.errors import InputError
from reconflow.presets import PRESETS

if TYPE_CHECKING:
    from reconflow.pipeline.result import RunResult

_EPILOG = """\
examples:
  reconflow run photos/ --out result
  reconflow run photos.zip --out result --preset fast
  reconflow run photos/ --out result --set match.ratio=0.75 --set reconstruct.mapper=global
  reconflow run /shared/photos --out /shared/result --scheduler tcp://head:8786

Running the same command again goes on from what is stored.
exit codes: 0 done, 1 nothing could be reconstructed, 2 bad input, 130 interrupted"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="reconstruct a folder or ZIP of photos",
        description="Reconstruct a folder (with its sub-folders) or a ZIP of photos: several scenes may be mixed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder or a ZIP")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default="default",
        help="where settings start from; default: aliked-n16rot+lightglue where GPUs and both weights are, else "
        "sift+adalam; fast and detailed: sift+adalam; best: ALIKED's and SuperPoint's keypoints joined by MASt3R",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML or JSON settings; a run.toml will do")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.OPTION=VALUE",
        dest="overrides",
        help="change one setting; may be repeated",
    )
    parser.add_argument("--dataset", metavar="NAME", help="name in the CSV (default: that of PHOTOS)")
    parser.add_argument("--store", metavar="PATH|URL", help="share features and matches with other runs")
    add_cluster_options(parser)
    parser.set_defaults(command=execute)
    return parser


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where work runs."""
    parser.add_argument("--scheduler", metavar="ADDRESS", help="an existing Dask scheduler, such as tcp://head:8786")
    parser.add_argument("--workers", type=int, metavar="N", help="local worker processes (default: one per core)")
    add_tls_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it, with bars, and print what came out."""
    config = load_config(arguments.config, preset=arguments.preset, overrides=arguments.overrides)
    if not arguments.photos.exists():
        raise InputError(f"{arguments.photos} does not exist")
    result = run_with_bars(arguments, config, photos=arguments.photos, dataset=arguments.dataset, store=arguments.store)
    return 0 if result.clusters else 1


def run_with_bars(
    arguments: argparse.Namespace,
    config: PipelineConfig,
    *,
    photos: Path,
    dataset: str | None = None,
    store: str | None = None,
) -> "RunResult":
    """Reconstruct into ``arguments.out`` on the cluster the arguments name, and print the table of models.

    The pipeline is imported here: ``--help`` has no use for it, and each local worker process starts by importing
    the command line.
    """
    from reconflow.pipeline.cluster import open_client
    from reconflow.pipeline.preparation import check_methods
    from reconflow.pipeline.progress import progress_on
    from reconflow.pipeline.run import run

    if not arguments.verbose:  # Dask tells of every connection that a worker closes on its way out
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if arguments.workers is not None and arguments.workers < 1:
        raise InputError(f"--workers must be at least 1, got {arguments.workers}")
    check_methods(config)
    console = Console()
    security = security_of(arguments)
    with (
        stop_on_signals() as stopped,
        open_client(arguments.scheduler, workers=arguments.workers, security=security) as client,
    ):
        console.print(f"[dim]Dask dashboard: {client.dashboard_link}[/]", highlight=False)
        with progress_on(console) as shown:
            result = run(
                photos,
                arguments.out,
                client=client,
                config=config,
                dataset=dataset,
                store=store,
                on_event=shown,
                is_cancelled=stopped.is_set,
            )
    print_result(result, console)
    return result


def print_result(result: "RunResult", console: Console) -> None:
    """Print the table of models and where everything is."""
    insights = result.insights
    if result.clusters:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("model")
        for name in ("photos", "points", "track length", "reprojection error"):
            table.add_column(name, justify="right")
        for model in insights.models:
            table.add_row(
                model.name,
                str(model.n_images),
                f"{model.n_points:,}",
                f"{model.mean_track_length:.1f}",
                f"{model.mean_reprojection_error_px:.2f} px",
            )
        console.print()
        console.print(table)
    else:
        console.print("\n[red]Nothing could be reconstructed.[/] The report says why for every photo.")
    console.print(f"\n{result.outcome}, in {sum(insights.timings_s.values()):.1f} s.", highlight=False)
    console.print(f"Report: [bold]{escape(str(result.folder / 'report.html'))}[/]", highlight=False, soft_wrap=True)


@contextmanager
def stop_on_signals() -> Generator[threading.Event]:
    """Set the event on the first Ctrl-C or SIGTERM, so that a run ends cleanly; the second one ends it at once."""
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: object) -> None:
        stopped.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
