"""``reconflow serve``: the web service, its ledger and its cluster in one command."""

import argparse
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from reconflow.errors import ReconflowError

if TYPE_CHECKING:
    from reconflow.jobs.ledger import Ledger
    from reconflow.jobs.runner_process import RunnerProcess
    from reconflow.jobs.service import JobService


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
    parser.add_argument("--port", type=int, default=8000, help="port to listen at (default: 8000; 0: any free one)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where everything is kept")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="an existing Dask scheduler, such as tcp://head:8786")
    parser.add_argument("--workers", type=int, metavar="N", help="local worker processes (default: one per core)")
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from reconflow.config import load_config
    from reconflow.jobs.accounts import AccountBook
    from reconflow.jobs.ledger import Ledger
    from reconflow.jobs.logs import configure_logging
    from reconflow.jobs.runner_process import RunnerProcess
    from reconflow.jobs.service import JobService
    from reconflow.jobs.settings import load_settings
    from webapp.app import create_app
    from webapp.server import listen, serve

    settings = load_settings(
        os.environ, data_dir=arguments.data_dir, scheduler=arguments.scheduler, workers=arguments.workers
    )
    if settings.config and Path(settings.config).exists():
        load_config(base=settings.config)  # a broken one is refused here, not at the first upload
    configure_logging(settings)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    console = Console()
    with (
        listen(arguments.host, arguments.port) as listener,
        Ledger.open(settings.ledger_url, retention_s=settings.retention_s) as ledger,
    ):
        service, accounts = JobService(settings, ledger), AccountBook(ledger)
        made = accounts.ensure_admin(settings.admin_name, settings.admin_password)
        if made:
            console.print(f"First start: account [bold]{settings.admin_name}[/], password [bold]{made}[/]")
            console.print("It is not shown again.", style="dim")
        host, port = listener.getsockname()[:2]
        console.print(f"Web service: [bold]http://{f'[{host}]' if ':' in host else host}:{port}[/]  (Ctrl-C ends it)")
        app = create_app(settings, service=service, accounts=accounts)
        with RunnerProcess(settings) as runner:
            threading.Thread(target=_tell_dashboard, args=(ledger, runner, console), daemon=True).start()
            serve(app, listener, on_exit=lambda: _stop(runner, service))
    return 0


def _stop(runner: "RunnerProcess", service: "JobService") -> None:
    runner.stop()
    service.stop()


def _tell_dashboard(ledger: "Ledger", runner: "RunnerProcess", console: Console) -> None:
    """Print where Dask's dashboard is, once the runner's cluster is up."""
    started = time.time()
    while not runner.stopping.wait(0.5):
        try:
            url = next((r.dashboard_url for r in ledger.runners(seen_since=started) if r.dashboard_url), "")
        except ReconflowError:
            return
        if url:
            console.print(f"Dask dashboard: [bold]{url}[/]")
            return


def _epilog() -> str:
    from reconflow.jobs.settings import described_settings

    lines = ["settings, read from the environment (NAME_FILE may name a file that holds the value):"]
    return "\n".join([*lines, *(f"  {name:<34}{text}" for name, text in described_settings())])
