"""Tasks onto the cluster, outcomes and progress back: one loop in the caller's thread."""

import contextlib
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from distributed import Client, Event, Future, KilledWorker
from distributed.client import FutureCancelledError

from reconflow.errors import Cancelled, ClusterError, DiskFullError, ReconflowError, is_disk_full
from reconflow.pipeline.cluster import PATIENCE_S
from reconflow.pipeline.control import RunLine

_POLL_S = 0.5
_LOOK_S = 3.0
"""Between two looks at who is there, where nothing happens."""


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
    patience_s : float
        How long tasks wait when no worker is left that could take them.

    """

    def __init__(
        self, client: Client, line: RunLine, *, is_cancelled: Callable[[], bool], patience_s: float = PATIENCE_S
    ):
        self._client = client
        self._line = line
        self._is_cancelled = is_cancelled
        self._patience_s = patience_s
        self._inbox: queue.SimpleQueue[Future | dict[str, Any]] = queue.SimpleQueue()

    def __enter__(self) -> "Dispatcher":
        self._client.subscribe_topic(self._line.topic, lambda event: self._inbox.put(event[1]))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.unsubscribe_topic(self._line.topic)

    def begin(self, body: Callable[[], None], *, resources: dict[str, float]) -> Future:
        """Start a call that nobody waits for, such as loading a slow library.

        Tasks that are given the future as an argument are drawn to the worker that ran it.
        """
        return self._client.submit(body, key=f"{body.__name__}-{self._line.run}", resources=resources or None)

    def run(
        self,
        tasks: Sequence[TaskT],
        body: Callable[..., Any],
        *,
        stage: str,
        resources: dict[str, float],
        arguments: Sequence[Any] = (),
        homes: Sequence[int] = (),
    ) -> Iterator[Done[TaskT] | Died[TaskT] | Advanced]:
        """Submit ``body(task, *arguments)`` for every task and yield what happens, as it happens.

        When a worker dies, everything in its queue is under suspicion. Suspects are tried again one by one, with
        nothing else in flight, so that only the guilty dies again; it is cut in halves, down to the single unit that
        does it. One bad photo costs itself and nothing else. Leaving the loop early, by an exception or by
        cancellation, stops the tasks on the workers too.

        ``homes`` gives each task the number of a worker that should do it. Others take it when they have nothing else
        to do, or when that worker is gone.
        """
        flight = _Flight(self._client, self._line, body, stage=stage, resources=resources, arguments=arguments)
        suspects: list[TaskT] = []
        units: dict[str, int] = {}
        absence = _Absence(self._client, resources, patience_s=self._patience_s)
        try:
            flight.submit(tasks, self._inbox, homes=homes)
            while flight.waiting or suspects:
                if not flight.waiting:
                    flight.submit([suspects.pop()], self._inbox)
                message = self._next(absence)
                if isinstance(message, dict):
                    if message["stage"] == stage:
                        units[message["task"]] = message["done"]
                        yield Advanced(sum(units.values()), message["detail"])
                    continue
                landed = flight.land(message)
                if landed is None:
                    continue
                task, ended = landed
                if isinstance(ended, Died) and task.key not in flight.alone:
                    flight.alone.add(task.key)
                    suspects.append(task)
                elif isinstance(ended, Died) and (halves := task.halves()):
                    flight.alone.update(half.key for half in halves)
                    suspects += halves  # pyright: ignore[reportOperatorIssue] - a task's halves are of its own type
                else:
                    units[task.key] = len(task)
                    yield ended
                    yield Advanced(sum(units.values()), "")
        finally:
            self._stop(flight)

    def check(self) -> None:
        """Raise :class:`Cancelled` when the run was cancelled."""
        if self._is_cancelled():
            raise Cancelled("the run was cancelled")

    def _next(self, absence: "_Absence") -> Future | dict[str, Any]:
        while True:
            self.check()
            try:
                return self._inbox.get(timeout=_POLL_S)
            except queue.Empty:
                if self._client.status not in ("running", "newly-created", "connecting"):
                    raise ClusterError("the scheduler was lost; run the same command again to go on") from None
                absence.check()

    def _stop(self, flight: "_Flight[Any]") -> None:
        """Tell running tasks to end and take back waiting ones; a running thread cannot be stopped from outside."""
        if flight.waiting and self._client.status == "running":
            Event(self._line.cancel, client=self._client).set()
            self._client.cancel([future for future, _ in flight.waiting.values()])


class _Absence:
    """For how long there has been no worker that could take a stage's tasks."""

    def __init__(self, client: Client, resources: dict[str, float], *, patience_s: float):
        self._client = client
        self._resources = resources
        self._patience_s = patience_s
        self._look_at = 0.0
        self._since: float | None = None

    def check(self) -> None:
        """Raise :class:`ClusterError` once it has lasted too long; asks the scheduler every few seconds."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        with contextlib.suppress(OSError):  # a scheduler that is lost is told of elsewhere
            if _slots(self._client, self._resources):
                self._since = None
                return
        self._since = self._since or now
        if now - self._since >= self._patience_s:
            kind = f"worker that offers {', '.join(self._resources)}" if self._resources else "worker"
            raise ClusterError(
                f"there has been no {kind} for {now - self._since:.0f} s: start one with `reconflow work ADDRESS` and "
                "run the same command again to go on"
            )


class _Flight(Generic[TaskT]):
    """The tasks of a stage that are with the cluster."""

    def __init__(
        self,
        client: Client,
        line: RunLine,
        body: Callable[..., Any],
        *,
        stage: str,
        resources: dict[str, float],
        arguments: Sequence[Any],
    ):
        self.waiting: dict[str, tuple[Future, TaskT]] = {}
        self.alone: set[str] = set()
        """Keys of the tasks that are, or will be, tried with nothing else in flight."""
        self._client = client
        self._body = body
        self._resources = resources
        self._name = f"{stage}-{{}}-{{}}-{line.run}"
        self._arguments = arguments

    def submit(self, tasks: Sequence[TaskT], inbox: "queue.SimpleQueue[Any]", *, homes: Sequence[int] = ()) -> None:
        """Send tasks off; each of them lands in the inbox when it ends."""
        at = self._homes(sorted(set(homes)))
        for number, task in enumerate(tasks):
            # A second attempt needs a name of its own: the first one's failure may still be known to the scheduler.
            key = self._name.format(task.key, int(task.key in self.alone))
            submit = partial(self._client.submit, key=key, resources=self._resources or None)
            home = at.get(homes[number]) if homes else None
            if home is None:
                future = submit(self._body, task, *self._arguments)
            else:
                future = submit(_at_home, home, self._body, task, *self._arguments)
            self.waiting[key] = future, task
            future.add_done_callback(inbox.put)

    def _homes(self, numbers: Sequence[int]) -> dict[int, Future]:
        """Leave something small at a worker for each number.

        A task that is given it goes to where it lies, if that worker may take the task, and can be taken over by
        others that may. Naming the worker itself (``workers``, ``allow_other_workers``) would not do: once the
        scheduler may leave it, it forgets resources too, and a task for GPUs ends on the mapper.
        """
        slots = _slots(self._client, self._resources) if numbers else []
        return {
            number: self._client.submit(
                int,
                number,
                key=f"home-{uuid.uuid4().hex}",
                workers=[slots[number % len(slots)]],
                allow_other_workers=True,
            )
            for number in (numbers if slots else ())
        }

    def land(self, message: Future) -> tuple[TaskT, Done[TaskT] | Died[TaskT]] | None:
        """Return a task that ended and how; ``None`` for a future that is not of this stage."""
        future, task = self.waiting.pop(str(message.key), (None, None))
        return None if future is None or task is None else (task, _ended(future, task))


def _at_home(home: int, body: Callable[..., Any], task: Any, *arguments: Any) -> Any:
    """Do a task; ``home`` only drew it to its worker."""
    return body(task, *arguments)


def _slots(client: Client, resources: dict[str, float]) -> list[str]:
    """Return for each task that may run at once the address of its worker."""
    found: list[str] = []
    for address, worker in sorted(client.scheduler_info(n_workers=-1)["workers"].items()):
        offered = dict(worker.get("resources") or {})
        room = [int(offered.get(kind, 0) / share) for kind, share in resources.items()]
        found += [address] * min([int(worker["nthreads"]), *room])
    return found


def _ended(future: Future, task: TaskT) -> Done[TaskT] | Died[TaskT]:
    try:
        error: BaseException | None = future.exception()  # pyright: ignore[reportAssignmentType] - no asynchronous client
        outcome = future.result() if error is None else None
    except (FutureCancelledError, OSError) as lost:  # of the client, not of the task
        raise ClusterError("the scheduler was lost; run the same command again to go on") from lost
    if error is None:
        return Done(task, outcome)
    if isinstance(error, ReconflowError):
        raise error
    if is_disk_full(error):
        raise DiskFullError("a worker's disk is full: free some space, then run the same command again") from error
    if isinstance(error, KilledWorker):
        return Died(task, "its worker was killed each time it was tried (out of memory, or a crash in native code)")
    return Died(task, f"{type(error).__name__}: {error}")
