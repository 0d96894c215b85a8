"""``reconflow drift baseline FOLDER…`` and ``reconflow drift check PHOTOS --baseline FILE``."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from reconflow.errors import ConfigError, InputError

if TYPE_CHECKING:
    from reconflow.core.drift import DriftReport

_EPILOG = """\
examples:
  reconflow drift baseline scenes/church scenes/bridge scenes/statue.zip --out drift-baseline.json
  reconflow drift check new-photos.zip --baseline drift-baseline.json

The service reads the baseline that RECONFLOW_DRIFT_BASELINE names.
exit codes: 0 no drift, 1 drift, 2 bad input"""

_COLOURS = {"low": "green", "moderate": "yellow", "high": "red"}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "drift",
        help="compare how photos look with those the settings were made for",
        description="Build a baseline from the photos of known scenes, and compare new photos with it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    build = actions.add_parser("baseline", help="build a baseline; each folder or ZIP is one scene")
    build.add_argument("scenes", type=Path, nargs="+", metavar="FOLDER", help="a folder or ZIP of one scene's photos")
    build.add_argument("--out", type=Path, default=Path("drift-baseline.json"), metavar="FILE", help="what to write")
    build.set_defaults(command=execute_baseline)
    check = actions.add_parser("check", help="compare photos with a baseline")
    check.add_argument("photos", type=Path, metavar="PHOTOS", help="a folder or a ZIP")
    check.add_argument("--baseline", type=Path, required=True, metavar="FILE", help="from `reconflow drift baseline`")
    check.add_argument("--json", action="store_true", help="print JSON instead of a table")
    check.set_defaults(command=execute_check)
    return parser


def execute_baseline(arguments: argparse.Namespace) -> int:
    """Build a baseline and say of what."""
    from reconflow.jobs.drift import summarize_photos, write_baseline

    sources = {path.stem if path.is_file() else path.resolve().name: path for path in arguments.scenes}
    if len(sources) < len(arguments.scenes):
        raise InputError("two of the scenes have the same name: rename a folder, so that the baseline can tell them")
    scenes = {name: summarize_photos(path) for name, path in sources.items()}
    write_baseline(scenes, arguments.out)
    console = Console()
    for name, scene in sorted(scenes.items()):
        console.print(f"{name}: {scene.n} photos", markup=False, highlight=False)
    console.print(f"Baseline of {len(scenes)} scenes: {arguments.out}", markup=False, highlight=False, soft_wrap=True)
    return 0


def execute_check(arguments: argparse.Namespace) -> int:
    """Print the report; the exit code says whether there is drift."""
    from reconflow.jobs.drift import read_baseline, summarize_photos
    from reconflow.stages.drift import check_drift

    baseline = read_baseline(arguments.baseline)
    if baseline is None:
        raise ConfigError(f"there is no baseline {arguments.baseline}: build it with `reconflow drift baseline`")
    report = check_drift(summarize_photos(arguments.photos), baseline)
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    else:
        _print(report, Console())
    return int(report.drift_detected)


def _print(report: "DriftReport", console: Console) -> None:
    if report.checks:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("feature")
        for name in ("photos", "baseline", "robust z", "severity"):
            table.add_column(name, justify="right")
        for name, check in report.checks.items():
            colour = _COLOURS[check.severity]
            figures = (f"{check.current:.3f}", f"{check.baseline:.3f}", f"{check.value:+.1f}")
            table.add_row(name, *figures, f"[{colour}]{check.severity}[/]")
        console.print(table)
        console.print(f"Drift: [bold {_COLOURS[report.severity]}]{report.severity}[/]")
    for warning in report.warnings:
        console.print(f"[yellow]Warning:[/] {warning}", highlight=False)
