"""``reconflow serve``: the web service, its ledger and its cluster in one command."""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from reconflow.errors import ConfigError

_GRACE_S = 3
"""Open streams are cut after so many seconds of a shutdown."""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="run the web service",
        description="Run the web service with its REST API: upload ZIPs of photos, follow jobs, download models. The"
        " ledger is an SQLite file and the cluster a local one, unless told otherwise.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: only this machine)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at (default: 8000)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where everything is kept")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="an existing Dask scheduler, such as tcp://head:8786")
    parser.add_argument("--workers", type=int, metavar="N", help="local worker processes (default: one per core)")
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import uvicorn

    from reconflow.jobs.accounts import AccountBook
    from reconflow.jobs.ledger import Ledger
    from reconflow.jobs.runner_process import RunnerProcess
    from reconflow.jobs.service import JobService
    from reconflow.jobs.settings import load_settings
    from webapp.app import create_app

    settings = load_settings(
        os.environ, data_dir=arguments.data_dir, scheduler=arguments.scheduler, workers=arguments.workers
    )
    if not 0 <= arguments.port < 65536:
        raise ConfigError(f"--port must be 0 to 65535, got {arguments.port}")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("reconflow").setLevel(logging.INFO)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    console = Console()
    with Ledger.open(settings.ledger_url) as ledger:
        service, accounts = JobService(settings, ledger), AccountBook(ledger)
        made = accounts.ensure_admin(settings.admin_name, settings.admin_password)
        if made:
            console.print(f"First start: account [bold]{settings.admin_name}[/], password [bold]{made}[/]")
            console.print("It is not shown again.", style="dim")
        console.print(f"Web service: [bold]http://{arguments.host}:{arguments.port}[/]  (Ctrl-C ends it)")
        app = create_app(settings, service=service, accounts=accounts)
        with RunnerProcess(settings):
            uvicorn.run(
                app,
                host=arguments.host,
                port=arguments.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
    return 0


def _epilog() -> str:
    from reconflow.jobs.settings import described_settings

    lines = ["settings, read from the environment (NAME_FILE may name a file that holds the value):"]
    return "\n".join([*lines, *(f"  {name:<34}{text}" for name, text in described_settings())])
