"""Work for a model in batches: items of one shape together, and fewer at a time once memory ran out."""

import contextlib
import functools
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def grouped(items: Sequence[T], *, key: Callable[[T], Hashable]) -> list[list[int]]:
    """Return the places of items that have the same key, such as the size of an image; groups in order of appearance.

    >>> grouped(["ab", "c", "de"], key=len)
    [[0, 2], [1]]
    """
    groups: dict[Hashable, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(key(item), []).append(place)
    return list(groups.values())


def in_batches(items: Sequence[T], size: int) -> list[tuple[T, ...]]:
    """Return items in order, so many at a time; the last batch has what is left.

    >>> in_batches("abcde", 2)
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def padded_count(count: int, *, step: int = 512) -> int:
    """Return the number of keypoints a set of ``count`` is padded to: few different ones, so that many share a batch.

    >>> padded_count(0), padded_count(512), padded_count(513)
    (512, 512, 1024)
    """
    return max(step, -(-count // step) * step)


class BatchRunner:
    """Runs a model on batches, halving their size whenever the device's memory runs out; the run goes on.

    A size that was too large once is not tried again, so a long run pays for it once. What does not fit alone is tried
    once more without the other models of the process.

    Parameters
    ----------
    size : int
        Items in a batch to start with.

    """

    def __init__(self, size: int):
        self.size = size

    def stream(self, model: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T]) -> Iterator[R]:
        """Yield what the model makes of the items, in order, batch by batch.

        Raises
        ------
        torch.OutOfMemoryError
            If not even one item fits.

        """
        done = 0
        while done < len(items):
            made = self._tried(model, items[done : done + self.size])
            yield from made
            done += len(made)

    def map(self, model: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T]) -> list[R]:
        """Return what :meth:`stream` yields."""
        return list(self.stream(model, items))

    def _tried(self, model: Callable[[Sequence[T]], Iterable[R]], batch: Sequence[T]) -> list[R]:
        """Return what the model makes of a batch; nothing where it was too large."""
        import torch

        with contextlib.suppress(torch.OutOfMemoryError):
            return list(model(batch))
        # Only here: in the block above the error still holds the frames of the model, and they hold its tensors.
        if len(batch) == 1:
            from reconflow.nets.devices import models

            logger.warning("memory of the device ran out: once more without other models")
            models().clear()
            return list(model(batch))
        self.size = min(self.size, max(1, len(batch) // 2))
        logger.warning("memory of the device ran out: batches of %d from here on", self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return []


@functools.cache
def batch_runner(model: Hashable, shape: Hashable, size: int) -> BatchRunner:
    """Return this process's runner for a model and items of one shape, which knows what was too large before."""
    return BatchRunner(size)
