"""``reconflow weights list|fetch|verify``: the weights of learned models on this machine."""

import argparse
import os
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from reconflow.errors import InputError, WeightsError
from reconflow.nets.catalogue import WEIGHTS, Weights, weights_named
from reconflow.nets.weights import (
    absence,
    cache_folder,
    expected_sha256,
    find_weights,
    obtain_weights,
    sha256_of,
)

_EPILOG = """\
examples:
  reconflow weights list
  reconflow weights fetch aliked-n16rot lightglue-aliked
  RECONFLOW_WEIGHTS=/data/weights reconflow weights verify

Weights are looked for in the folder RECONFLOW_WEIGHTS, then in the cache (RECONFLOW_CACHE moves it), then fetched from
their authors, whose licences are theirs to give. RECONFLOW_OFFLINE=1 fetches nothing.

`verify` compares files with the ones reconflow is tested with, or with what was fetched at first.
exit codes: 0 as they should be, 1 another file than expected, 2 not here"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "weights",
        help="list, fetch and check weights of learned models",
        description="List, fetch and check the weights of learned models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("list", "fetch", "verify"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="as `list` names them; for `verify` all that are here")
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Do what was asked; 1 when a file is not the one it should be."""
    console = Console()
    chosen = [weights_named(name) for name in arguments.names]
    if arguments.action == "fetch":
        if not chosen:
            raise InputError("say which weights to fetch: `reconflow weights list` names them")
        _fetch(chosen, console)
        return 0
    if arguments.action == "list":
        _list(chosen or list(WEIGHTS.values()), console)
        return 0
    return _verify(chosen, console)


def _list(chosen: list[Weights], console: Console) -> None:
    for weights in chosen:
        found = find_weights(weights)
        where = f"[green]✓[/] {escape(str(found[0]))}" if found else f"[dim]– not here: {weights.source}[/]"
        size = f"{weights.size_mb:,.1f} MB"
        # In lines of their own, paths and addresses stay whole, to be copied or searched for.
        console.print(f"[bold]{weights.name:<20}[/] {size:>11}  {weights.licence}", highlight=False, soft_wrap=True)
        console.print(f"  {where}", highlight=False, soft_wrap=True)
    folder = os.environ.get("RECONFLOW_WEIGHTS")
    looked = f"{folder} and {cache_folder()}" if folder else f"{cache_folder()}; RECONFLOW_WEIGHTS names another folder"
    console.print(f"\nLooked for in {looked}.", highlight=False, markup=False, soft_wrap=True)


def _fetch(chosen: list[Weights], console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for weights in chosen:
        with Progress(*columns, console=console, transient=True) as bars:
            task = bars.add_task(weights.name, total=None)

            def advance(done: int, total: int, *, bars: Progress = bars, task: Any = task) -> None:
                bars.update(task, completed=done, total=total or None)

            path = obtain_weights(
                weights, on_progress=advance, tell=lambda text: console.print(text, markup=False, soft_wrap=True)
            )
        console.print(f"[green]✓[/] {weights.name}: {escape(str(path))}", highlight=False, soft_wrap=True)


def _verify(chosen: list[Weights], console: Console) -> int:
    here = [(weights, found) for weights in chosen or WEIGHTS.values() if (found := find_weights(weights))]
    wrong = 0
    for weights, (path, file) in here:
        digest, expected = sha256_of(path), expected_sha256(path, file)
        good = digest == expected or not expected
        mark = "[green]✓[/]" if expected and good else "[dim]–[/]" if good else "[red]✗[/]"
        known = "as expected" if file.sha256 else "as first fetched"
        word = known if expected and good else "SHA-256 not known" if good else f"not {known}"
        console.print(
            f"{mark} {weights.name:<20} {word}: {digest}  {escape(str(path))}", highlight=False, soft_wrap=True
        )
        wrong += not good
    if absent := [absence(weights) for weights in chosen if not find_weights(weights)]:
        raise WeightsError("; ".join(absent))
    if not here:
        raise WeightsError(
            "no weights are here: `reconflow weights list` names them, and says where they are looked for"
        )
    return int(wrong > 0)
