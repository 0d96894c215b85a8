"""Work for a model in batches: items of one shape together, and fewer at a time once memory ran out."""

import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
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


def padded_count(count: int, *, step: int = 512) -> int:
    """Return the number of keypoints a set of ``count`` is padded to: few different ones, so that many share a batch.

    >>> padded_count(0), padded_count(512), padded_count(513)
    (512, 512, 1024)
    """
    return max(step, -(-count // step) * step)


class BatchRunner:
    """Runs a model on batches, halving their size whenever the device's memory runs out; the run goes on.

    A size that was too large once is not tried again, so a long run pays for it once.

    Parameters
    ----------
    size : int
        Items in a batch to start with.

    """

    def __init__(self, size: int):
        self.size = size

    def map(self, model: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T]) -> list[R]:
        """Return what the model makes of the items, in order.

        Raises
        ------
        torch.OutOfMemoryError
            If not even one item fits.

        """
        import torch

        made: list[R] = []
        while len(made) < len(items):
            batch = items[len(made) : len(made) + self.size]
            try:
                made += list(model(batch))
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self.size = max(1, len(batch) // 2)
                logger.warning("memory of the device ran out: batches of %d from here on", self.size)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        return made
