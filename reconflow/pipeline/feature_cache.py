"""Features a worker has at hand: tiles share photos, and what one tile read the next one need not."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable

from reconflow.core.features import Features
from reconflow.store.features import read_features
from reconflow.store.packs import ItemRef
from reconflow.store.root import Root


class FeatureCache:
    """The features of a process that were used last, up to a size.

    Parameters
    ----------
    capacity_bytes : int
        What the arrays kept may take together; what a caller holds is not counted.

    """

    def __init__(self, capacity_bytes: int):
        self._capacity = capacity_bytes
        self._size = 0
        self._kept: OrderedDict[tuple[str, ItemRef], Features] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, root: Root, refs: Iterable[ItemRef]) -> tuple[dict[ItemRef, Features], int]:
        """Return the features at ``refs``, reading what is not at hand, and how many were."""
        wanted = set(refs)
        with self._lock:
            found = {ref: self._kept[root.url, ref] for ref in wanted if (root.url, ref) in self._kept}
            for ref in found:
                self._kept.move_to_end((root.url, ref))
        fresh = read_features(root, wanted - set(found))
        with self._lock:
            for ref, features in fresh.items():
                if (root.url, ref) not in self._kept:
                    self._kept[root.url, ref] = features
                    self._size += sys.getsizeof(features)
            while self._size > self._capacity and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._size -= sys.getsizeof(dropped)
        return found | fresh, len(found)
