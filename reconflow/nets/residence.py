"""Models a process has loaded: each once, and on a GPU only as many as fit."""

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Residence:
    """The models of one process, by key.

    Parameters
    ----------
    most : int, optional
        How many stay loaded; the one used longest ago goes when another is needed. All by default.

    """

    def __init__(self, most: int | None = None):
        self._most = most
        self._models: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the model of a key, made when it is asked for first; two threads never load one twice."""
        with self._lock:
            if key not in self._models:
                while self._most is not None and len(self._models) >= self._most:
                    oldest = next(iter(self._models))
                    del self._models[oldest]  # nothing here may hold it while the next one is loaded
                    logger.info("model %s makes room", oldest)
                    _free()
                self._models[key] = make()
            self._models.move_to_end(key)
            return self._models[key]

    def clear(self) -> None:
        """Drop all models and hand their memory back."""
        with self._lock:
            self._models.clear()
            _free()


def _free() -> None:
    gc.collect()  # modules hold themselves in cycles
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
