"""The runner as a process: ``python -m reconflow.jobs.runner_process``, and what starts it and keeps it running.

It reads its settings from the environment, as the web process does, and ends in order when it gets SIGTERM or when
its standard input closes: then the process that started it is gone.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from reconflow.jobs.ledger import Ledger
from reconflow.jobs.logs import configure_logging
from reconflow.jobs.settings import ServiceSettings

if TYPE_CHECKING:
    from reconflow.jobs.runner import Runner

logger = logging.getLogger(__name__)

_PAUSE_S = 2.0
"""Between the death of a runner and the next one."""
_GRACE_S = 3.0
"""To give its jobs back; killed after it, its jobs wait until their leases run out."""
_NICENESS = 10
"""Of the runner and its workers: jobs take hours, answers milliseconds, and both share the cores."""


class RunnerProcess:
    """Keeps one runner process running while the context is open."""

    def __init__(self, settings: ServiceSettings):
        self._job = msgspec.json.encode(settings, enc_hook=str)
        self.stopping = threading.Event()
        """Set once the runner is to end."""
        self._thread = threading.Thread(target=self._keep, name="runner-keeper")

    def __enter__(self) -> "RunnerProcess":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Begin to end the runner; leaving the context waits for it."""
        self.stopping.set()

    def _keep(self) -> None:
        while not self.stopping.is_set():
            with subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE) as process:
                self._watch(process)
            if not self.stopping.wait(_PAUSE_S):
                logger.error("the runner ended with exit code %s; starting another", process.returncode)

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(len(self._job).to_bytes(8, "big") + self._job)
            process.stdin.flush()
            while process.poll() is None:
                if self.stopping.wait(0.2):
                    process.terminate()
                    process.wait(timeout=_GRACE_S)
        except BrokenPipeError:
            logger.debug("the runner ended while it was starting")
        except subprocess.TimeoutExpired:
            process.kill()


def main() -> int:
    """Run jobs until told to stop."""
    os.nice(_NICENESS)
    settings = msgspec.json.decode(_told(), type=ServiceSettings, dec_hook=lambda kind, value: kind(value))
    from reconflow.jobs.runner import Runner

    configure_logging(settings)
    name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    with Ledger.open(settings.ledger_url, retention_s=settings.retention_s) as ledger:
        runner = Runner(settings, ledger, name)
        signal.signal(signal.SIGTERM, lambda *_: runner.stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal: the parent decides
        threading.Thread(target=_end_with_parent, args=(runner,), daemon=True).start()
        runner.serve()
    return 0


def _told() -> bytes:
    """Return what the parent sends: eight bytes of length, then the settings."""
    content = b""
    while len(content) < 8 or len(content) < 8 + int.from_bytes(content[:8], "big"):
        piece = os.read(0, 65_536)
        if not piece:
            raise SystemExit("started without settings: use `reconflow serve`")
        content += piece
    return content[8:]


def _end_with_parent(runner: "Runner") -> None:
    while os.read(0, 1024):  # not through sys.stdin: its lock, held here, would abort the interpreter at its end
        pass
    runner.stop()


if __name__ == "__main__":
    sys.exit(main())
