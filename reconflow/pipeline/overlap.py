"""CPU work of a task that has a GPU, done beside it: the GPU should never wait for a core.

Threads end with the context that began them. A generator must not end them: Python may collect it as garbage while a
thread starts, and then its end waits for ever.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 64
"""Calls that may be waiting for a thread: a few batches of the device."""


@contextmanager
def overlapped(calls: Iterable[Callable[[], T]], *, threads: int) -> Generator[Iterator[T]]:
    """Give what calls return, in their order, doing them in threads while the iterable makes the next ones.

    Without threads each call is done as it comes. An error ends everything: what waits is dropped.
    """
    if not threads:
        yield (call() for call in calls)
        return
    with _threads(threads) as (pool, waiting):
        yield _in_order(calls, pool, waiting)


@contextmanager
def begun(calls: Sequence[Callable[[], T]], *, threads: int) -> Generator[Iterator[T]]:
    """Give what calls return, in their order, all of them begun in threads at once.

    Without threads each call is done when it is asked for. An error ends everything: what waits is dropped.
    """
    if not threads:
        yield (call() for call in calls)
        return
    with _threads(threads) as (pool, waiting):
        waiting.extend(pool.submit(call) for call in calls)
        yield (waiting.popleft().result() for _ in calls)


@contextmanager
def _threads(count: int) -> Generator[tuple[ThreadPoolExecutor, deque[Future[Any]]]]:
    """Give threads, and a place for what waits for them, which is dropped at the end."""
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="beside-gpu") as pool:
        try:
            yield pool, waiting
        finally:
            for left in waiting:
                left.cancel()


def _in_order(calls: Iterable[Callable[[], T]], pool: ThreadPoolExecutor, waiting: deque[Future[T]]) -> Generator[T]:
    for call in calls:
        waiting.append(pool.submit(call))
        while waiting and (waiting[0].done() or len(waiting) > _AHEAD):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


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
        begun, self._begun = self._begun, None
        if begun is not None:
            wait([begun])
