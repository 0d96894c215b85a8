"""What a worker has at hand of photos: tiles share photos, and what one tile read the next one need not."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from reconflow.store.packs import ItemRef
from reconflow.store.root import Root

T = TypeVar("T")


class PhotoCache:
    """The features and encodings that a process used last, up to a size.

    Parameters
    ----------
    capacity_bytes : int
        What the arrays kept may take together; what a caller holds is not counted.

    """

    def __init__(self, capacity_bytes: int):
        self._capacity = capacity_bytes
        self._size = 0
        self._kept: OrderedDict[tuple[str, ItemRef], Any] = OrderedDict()
        self._lock = threading.Lock()

    def read(
        self, root: Root, refs: Iterable[ItemRef], *, by: Callable[[Root, Iterable[ItemRef]], Mapping[ItemRef, T]]
    ) -> tuple[dict[ItemRef, T], int]:
        """Return what lies at ``refs``, and how much of it was not at hand and had to be read ``by`` the function."""
        wanted = dict.fromkeys(refs)
        with self._lock:
            found: dict[ItemRef, T] = {
                ref: self._kept[root.url, ref] for ref in wanted if (root.url, ref) in self._kept
            }
            for ref in found:
                self._kept.move_to_end((root.url, ref))
        fresh = by(root, [ref for ref in wanted if ref not in found])
        with self._lock:
            for ref, item in fresh.items():
                if (root.url, ref) not in self._kept:
                    self._kept[root.url, ref] = item
                    self._size += sys.getsizeof(item)
            while self._size > self._capacity and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._size -= sys.getsizeof(dropped)
        return {**found, **fresh}, len(fresh)
