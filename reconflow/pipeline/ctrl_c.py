"""Ctrl-C, which a terminal and a notebook send to a whole group of processes: it is for the one that decides."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from distributed.utils import LoopRunner
from tornado.ioloop import IOLoop


@contextmanager
def loop_of_deaf_processes() -> Generator[IOLoop]:
    """Give an event loop in a thread of its own; processes started from it, at any time, do not hear Ctrl-C.

    They have it blocked from the thread that started them, so none ends in a traceback before the run has decided. The
    loop ends with the last cluster or client that uses it.
    """
    runner = LoopRunner()
    _start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        runner.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        assert runner.loop is not None
        yield runner.loop
    finally:
        runner.stop()


def _start_tracker() -> None:
    """Start Python's helper for shared memory here and now.

    Started with the first process it would unblock Ctrl-C in the thread it is started from. It warns, past every log
    format, of what a run leaves that is ended at once; that is only untidy.
    """
    own = "PYTHONWARNINGS" in os.environ
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        if not own:
            del os.environ["PYTHONWARNINGS"]
