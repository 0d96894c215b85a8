"""The web server around the application."""

import errno
import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from litestar.types import ASGIApp

from reconflow.errors import ConfigError

_GRACE_S = 1
"""Open streams are cut after so many seconds of a shutdown; who listens comes back with ``Last-Event-ID``."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]):
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own: it raises the signal again in the end, and nobody would wait for the runner.
        self._on_exit()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises
    ------
    ConfigError
        If it cannot be had.
    """
    if not 0 <= port < 65536:
        raise ConfigError(f"--port must be 0 to 65535, got {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} is taken by another program: choose another with --port") from error
        raise ConfigError(f"cannot listen at {host}:{port}: {error.strerror}") from error
    # Accepted sockets inherit it, if it is set before their clients come. asyncio does so only where a socket names its
    # protocol; without it, an answer's body waits for the client to acknowledge its head, 40 ms on a kept connection.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: ASGIApp, listener: socket.socket, *, on_exit: Callable[[], None]) -> None:
    """Serve until a signal; ``on_exit`` is called at that moment, from the signal's handler, before streams are cut."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    # What was loaded to get here stays for good. Looking through it for garbage would hold up every answer for 0.1 s.
    gc.collect()
    gc.freeze()
    _Server(config, on_exit).run(sockets=[listener])
