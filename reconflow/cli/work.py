"""``reconflow work ADDRESS``: workers of this machine for an existing scheduler."""

import argparse
import logging
from typing import Any

from rich.console import Console

from reconflow.cli.encryption import add_tls_options, security_of
from reconflow.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "work",
        help="lend this machine to a Dask scheduler",
        description="Start worker processes for a scheduler (`dask scheduler` starts one). They see photos, results"
        " and stores under the same paths as the machine that gives the work.",
    )
    parser.add_argument("address", metavar="ADDRESS", help="such as tcp://head:8786")
    parser.add_argument("--workers", type=int, metavar="N", default=None, help="processes (default: one per core)")
    parser.add_argument(
        "--gpus", type=int, metavar="N", default=None, help="GPUs for learned models (default: all there are)"
    )
    parser.add_argument("--mapper", action="store_true", help="map scenes here too; at least one machine has to")
    add_tls_options(parser)
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Work until interrupted or until the scheduler goes away."""
    from reconflow.pipeline.cluster import available_cores, serve_workers
    from reconflow.pipeline.gpus import chosen_gpus, unused_gpu

    if not arguments.verbose:
        for name in ("distributed", "asyncio"):  # the latter tells what Ctrl-C cuts off
            logging.getLogger(name).setLevel(logging.CRITICAL)
    workers = arguments.workers if arguments.workers is not None else available_cores()
    if arguments.gpus is not None and arguments.gpus < 0:
        raise InputError(f"--gpus must be at least 0, got {arguments.gpus}")
    gpus = chosen_gpus("auto" if arguments.gpus is None else arguments.gpus)
    if workers < 0 or not (workers or gpus or arguments.mapper):
        raise InputError("there must be something to lend: --workers, --gpus or --mapper")
    mapper_threads = available_cores() if arguments.mapper else 0
    lent = [f"{workers} workers"] * bool(workers) + [f"{len(gpus)} GPUs"] * bool(gpus) + ["a mapper"] * arguments.mapper
    console = Console()
    if arguments.gpus is None and (hint := unused_gpu()):
        console.print(hint, markup=False, soft_wrap=True)
    try:
        console.print(f"{', '.join(lent)} for {arguments.address}; Ctrl-C ends them")
        serve_workers(
            arguments.address,
            workers=workers,
            gpus=gpus,
            mapper_threads=mapper_threads,
            security=security_of(arguments),
            verbose=arguments.verbose,
        )
    except KeyboardInterrupt:
        console.print("The workers have ended.")
    return 0
