"""``reconflow COMMAND …``: picks the command, turns errors into one sentence and an exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

import reconflow
from reconflow.cli import demo, doctor, drift, evaluate, experiment, match, run, serve, weights, work
from reconflow.errors import (
    Cancelled,
    ClusterError,
    ConfigError,
    InputError,
    OutputError,
    ReconflowError,
    WeightsError,
)  # fmt: skip

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130

_BAD_INPUT = (InputError, ConfigError, OutputError, ClusterError, WeightsError)
_COMMANDS = (run, match, serve, evaluate, drift, experiment, demo, weights, doctor, work)


def command_line() -> NoReturn:
    """Run the command line and end the process with its exit code.

    What was interrupted ends without Dask's tidying up, which would wait for what the second Ctrl-C has cut off.
    """
    code = main()
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 when it is done, 1 when nothing could be reconstructed or something broke, 2 when the input, an option, the
    output place or the scheduler is wrong, 130 when it was interrupted.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    else:
        logging.basicConfig(level=logging.ERROR, format="! %(message)s")
        logging.getLogger("reconflow").setLevel(logging.WARNING)
    logging.getLogger("PIL").setLevel(logging.INFO)  # tells every tag of every file otherwise
    errors = Console(stderr=True)
    try:
        return int(arguments.command(arguments))
    except Cancelled:
        errors.print("[yellow]Stopped.[/] What is done is stored: run the same command again to go on from there.")
        return INTERRUPTED
    except KeyboardInterrupt:
        errors.print("[yellow]Stopped at once.[/] Run the same command again to go on.")
        return INTERRUPTED
    except ReconflowError as error:
        where = f" ({error.item})" if error.item else ""
        errors.print(f"reconflow: {error.message}{where}", style="red", markup=False, highlight=False, soft_wrap=True)
        return BAD_INPUT if isinstance(error, _BAD_INPUT) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reconflow",
        description="Photos in, posed cameras and point clouds out.",
        epilog="`reconflow COMMAND --help` explains a command; `reconflow demo` shows all of it in two minutes.",
    )
    parser.add_argument("--version", action="version", version=f"reconflow {reconflow.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        sub = command.add_parser(commands)
        sub.add_argument("-v", "--verbose", action="store_true", help="log what the library does")
    return parser
