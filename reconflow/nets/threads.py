"""OpenCV on one thread: work is spread over photos, so a library's own threads would only stand in each other's way.

OpenCV's thread count belongs to the process and ignores ``OMP_NUM_THREADS``, which Dask sets to 1 on its workers.
NumPy's BLAS reads that variable and needs nothing here.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import cv2


class _SingleThread:
    """Counts who is inside, so that the process's own setting returns when the last one leaves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cv2.setNumThreads(self._before)


_SINGLE = _SingleThread()


@contextmanager
def opencv_on_one_thread() -> Generator[None]:
    """Keep OpenCV on the calling thread; what the process had set before is restored afterwards."""
    _SINGLE.enter()
    try:
        yield
    finally:
        _SINGLE.leave()
