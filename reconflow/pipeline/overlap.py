"""CPU work of a task that has a GPU, done beside it: the GPU should never wait for a core.

Whoever begins a generator of here closes it (:func:`contextlib.closing`): it ends threads, and where Python collects it
as garbage, which may be while a thread starts, that waits for ever.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 64
"""Calls that may be waiting for a thread: a few batches of the device."""


def overlapped(calls: Iterable[Callable[[], T]], *, threads: int) -> Generator[T]:
    """Yield what calls return, in their order, doing them in threads while the iterable makes the next ones.

    Without threads each call is done as it comes. An error ends everything: what waits is dropped.
    """
    if not threads:
        yield from (call() for call in calls)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="beside-gpu") as pool:
        try:
            for call in calls:
                waiting.append(pool.submit(call))
                while waiting[0].done() or len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
                    if not waiting:
                        break
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def begun(calls: Sequence[Callable[[], T]], *, threads: int) -> Generator[T]:
    """Yield what calls return, in their order, all of them begun in threads when the first is asked for.

    Without threads each call is done when it is asked for. An error ends everything: what waits is dropped.
    """
    if not threads:
        yield from (call() for call in calls)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="beside-gpu") as pool:
        waiting = deque(pool.submit(call) for call in calls)
        try:
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


class Ahead:
    """One call in a thread of its own, begun by one task for the sake of the next."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._begun: Future[Any] | None = None

    def begin(self, call: Callable[[], T]) -> Future[T]:
        """Start a call."""
        begun = self._pool.submit(call)
        self._begun = begun
        return begun

    def wait(self) -> None:
        """Wait until what was begun has ended, well or not."""
        if self._begun is not None:
            wait([self._begun])
            self._begun = None
