"""``reconflow demo --out DIR``: renders photos with known cameras, reconstructs them and compares."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from reconflow.cli.run import add_cluster_options, run_with_bars
from reconflow.config import PipelineConfig


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="render photos with known cameras and reconstruct them",
        description="Render three scenes mixed with stray photos, reconstruct them and print the error against the"
        " known cameras. Takes about two minutes on two cores.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where it all goes")
    parser.add_argument("--photos-per-scene", type=int, default=14, metavar="N", help="how many photos show a scene")
    add_cluster_options(parser)
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Render, reconstruct, compare, print."""
    from reconflow.evaluation.files import evaluate_files
    from reconflow.evaluation.table import render
    from reconflow.world.photos import DATASET, make_sample

    console = Console()
    photos = arguments.out / "photos"
    console.print(f"Rendering photos into [bold]{escape(str(photos))}[/] …", highlight=False)
    truth = make_sample(photos, photos_per_scene=arguments.photos_per_scene, corrupt=True)
    result = run_with_bars(arguments, PipelineConfig(), photos=truth.images, dataset=DATASET)
    console.print("\nAgainst the known cameras:")
    console.print(render(evaluate_files(photos / "truth.csv", arguments.out / "submission.csv")))
    return 0 if result.clusters else 1
