"""``reconflow evaluate --truth truth.csv --submission submission.csv``."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

_EPILOG = """\
examples:
  reconflow evaluate --truth truth.csv --submission result/submission.csv
  reconflow evaluate --truth truth.csv --submission result/submission.csv --thresholds strict --json"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        help="score a submission against known poses",
        description="The IMC2025 score (mAA, clusterness and their harmonic mean), pose errors and AUC.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="CSV", help="known poses")
    parser.add_argument("--submission", type=Path, required=True, metavar="CSV", help="poses to score")
    parser.add_argument(
        "--thresholds",
        default="official",
        metavar="official|strict|CSV",
        help="thresholds.csv or thresholds_strict.csv beside the truth, or a file (default: official)",
    )
    parser.add_argument("--lenient", action="store_true", help="take missing photos for outliers, ignore unknown ones")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Score and print."""
    from reconflow.evaluation.files import evaluate_files
    from reconflow.evaluation.table import render

    score = evaluate_files(
        arguments.truth, arguments.submission, thresholds=arguments.thresholds, lenient=arguments.lenient
    )
    if arguments.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(score), indent=1) + b"\n")
    else:
        Console().print(render(score))
    return 0
