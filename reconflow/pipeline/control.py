"""The line between a task on a worker and the run it belongs to: progress one way, cancellation the other."""

import contextlib
import time

import msgspec
from distributed import get_worker
from distributed.utils import sync

from reconflow.errors import Cancelled
from reconflow.pipeline.cluster import GPU

_POLL_S = 1.0


class RunLine(msgspec.Struct, frozen=True):
    """The names a run talks under on its scheduler."""

    run: str

    @property
    def topic(self) -> str:
        """Topic of the progress messages."""
        return f"reconflow-progress-{self.run}"

    @property
    def cancel(self) -> str:
        """Name of the event that is set when the run is cancelled."""
        return f"reconflow-cancel-{self.run}"


class TaskControl:
    """A task's end of the line. Outside a Dask worker it does nothing, so task bodies run anywhere."""

    def __init__(self, line: RunLine, *, stage: str, task: str):
        self._line = line
        self._stage = stage
        self._task = task
        self._polled_at = time.monotonic()
        self._done = 0
        self._worker = None
        with contextlib.suppress(ValueError):  # not on a worker
            self._worker = get_worker()

    @property
    def has_gpu(self) -> bool:
        """Whether the worker was given a GPU."""
        return self._worker is not None and GPU in self._worker.state.total_resources

    def advance(self, done: int, detail: str = "") -> None:
        """Say that ``done`` of the task's units are done by now."""
        if self._worker is not None and done != self._done:
            self._done = done
            message = {"stage": self._stage, "task": self._task, "done": done, "detail": detail}
            self._worker.log_event(self._line.topic, message)

    def check(self) -> None:
        """Raise :class:`Cancelled` when the run was cancelled; asks the scheduler at most once a second."""
        now = time.monotonic()
        if self._worker is not None and now - self._polled_at >= _POLL_S:
            self._polled_at = now
            # Not by `Event`: it opens a client in the worker, and one that ends early leaves it to the interpreter.
            if sync(self._worker.loop, self._worker.scheduler.event_is_set, name=self._line.cancel):
                raise Cancelled("the run was cancelled", stage=self._stage)
