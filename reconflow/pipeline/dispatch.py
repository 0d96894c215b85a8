"""Tasks onto the cluster, outcomes and progress back: one loop in the caller's thread."""

import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from distributed import Client, Event, Future, KilledWorker
from distributed.client import FutureCancelledError

from reconflow.errors import Cancelled, ClusterError
from reconflow.pipeline.control import RunLine

_POLL_S = 0.5


class Task(Protocol):
    """What can be dispatched: it has a key and a number of units, and can be halved down to one unit."""

    @property
    def key(self) -> str:
        """Content key, unique within the stage."""
        ...

    def __len__(self) -> int: ...

    def halves(self) -> "Sequence[Task]":
        """Return the task in two parts, or nothing where it has one unit."""
        ...


TaskT = TypeVar("TaskT", bound=Task)


class Done(msgspec.Struct, Generic[TaskT], frozen=True):
    """A task came to its end with this outcome."""

    task: TaskT
    outcome: Any


class Died(msgspec.Struct, Generic[TaskT], frozen=True):
    """A task of a single unit killed its workers, or raised something no task body expects."""

    task: TaskT
    reason: str


class Advanced(msgspec.Struct, frozen=True):
    """So many units of the stage are done by now."""

    done: int
    detail: str


class Dispatcher:
    """Runs tasks of one run on a cluster.

    Parameters
    ----------
    client : Client
        The cluster.
    line : RunLine
        The run's names on the scheduler.
    is_cancelled : callable
        Asked twice a second in the caller's thread.

    """

    def __init__(self, client: Client, line: RunLine, *, is_cancelled: Callable[[], bool]):
        self._client = client
        self._line = line
        self._is_cancelled = is_cancelled
        self._inbox: queue.SimpleQueue[Future | dict[str, Any]] = queue.SimpleQueue()

    def __enter__(self) -> "Dispatcher":
        self._client.subscribe_topic(self._line.topic, lambda event: self._inbox.put(event[1]))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.unsubscribe_topic(self._line.topic)

    def run(
        self,
        tasks: Sequence[TaskT],
        body: Callable[..., Any],
        *,
        stage: str,
        resources: dict[str, float],
        arguments: Sequence[Any] = (),
    ) -> Iterator[Done[TaskT] | Died[TaskT] | Advanced]:
        """Submit ``body(task, *arguments)`` for every task and yield what happens, as it happens.

        A task that takes its workers down is cut in halves and tried again, down to the single unit that does it:
        one bad photo costs itself and nothing else. Leaving the loop early, by an exception or by cancellation,
        stops the tasks on the workers too.
        """
        waiting: dict[str, tuple[Future, TaskT]] = {}
        done: dict[str, int] = {}

        def submit(task: TaskT) -> None:
            key = f"{stage}-{task.key}-{self._line.run}"
            future = self._client.submit(body, task, *arguments, key=key, resources=resources or None, retries=0)
            waiting[key] = future, task
            future.add_done_callback(self._inbox.put)

        for task in tasks:
            submit(task)
        try:
            while waiting:
                message = self._next()
                if isinstance(message, dict):
                    if message["stage"] == stage:
                        done[message["task"]] = message["done"]
                        yield Advanced(sum(done.values()), message["detail"])
                    continue
                if str(message.key) not in waiting:
                    continue
                future, task = waiting.pop(str(message.key))
                ended = _ended(future, task)
                if isinstance(ended, Died) and (halves := task.halves()):
                    for half in halves:
                        submit(half)  # pyright: ignore[reportArgumentType] - a task's halves are of its own type
                    continue
                done[task.key] = len(task)
                yield ended
                yield Advanced(sum(done.values()), "")
        finally:
            if waiting:
                self._stop([future for future, _ in waiting.values()])

    def _next(self) -> Future | dict[str, Any]:
        while True:
            if self._is_cancelled():
                raise Cancelled("the run was cancelled")
            try:
                return self._inbox.get(timeout=_POLL_S)
            except queue.Empty:
                if self._client.status not in ("running", "newly-created", "connecting"):
                    raise ClusterError("the scheduler was lost; run the same command again to go on") from None

    def _stop(self, futures: list[Future]) -> None:
        """Tell running tasks to end and take back waiting ones; a running thread cannot be stopped from outside."""
        if self._client.status == "running":
            Event(self._line.cancel, client=self._client).set()
            self._client.cancel(futures)


def _ended(future: Future, task: TaskT) -> Done[TaskT] | Died[TaskT]:
    try:
        return Done(task, future.result())
    except (FutureCancelledError, OSError) as error:
        raise ClusterError("the scheduler was lost; run the same command again to go on") from error
    except KilledWorker:
        return Died(task, "its worker was killed each time it was tried (out of memory, or a crash in native code)")
