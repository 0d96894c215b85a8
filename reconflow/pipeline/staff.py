"""The workers of a cluster over time: whether they can do a run now, and what they compute on."""

import logging
from collections.abc import Mapping
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError

from reconflow.errors import ClusterError
from reconflow.pipeline.cluster import GPU, place
from reconflow.pipeline.gpus import device_here

logger = logging.getLogger(__name__)

_FIRST = 1000
"""Priority of the question: it goes before the tasks of a run."""
_ANSWER_S = 5.0


class Staff:
    """The workers behind a client. Ask again and again: they come and go."""

    def __init__(self, client: Client):
        self.lacking = ""
        """What kept a run from being done when it was asked last, as a sentence; empty where nothing did."""
        self._client = client
        self._asked: Future | None = None
        self._device = ""

    def device(self, workers: Mapping[str, Mapping[str, Any]]) -> str:
        """Return what those that run networks compute on, asked of one: ``cpu``, or ``NVIDIA A100 (40.0 GB)``.

        ``workers`` is the scheduler's description of each. This waits for nobody: it is empty until one has answered,
        and while workers of some kind are missing.
        """
        try:
            where = place(workers).learned
        except ClusterError as error:
            self.lacking, self._asked, self._device = error.message, None, ""
            return ""
        self.lacking = ""
        if not self._device:
            self._device = self._ask(where)
        return self._device

    def _ask(self, where: dict[str, float]) -> str:
        if self._asked is None:
            self._asked = self._client.submit(
                device_here, offers_gpu=GPU in where, pure=False, priority=_FIRST, resources=where or None
            )
        if not self._asked.done():
            return ""
        try:
            return str(self._asked.result(timeout=_ANSWER_S))
        except (OSError, TimeoutError, KilledWorker, FutureCancelledError) as error:
            logger.info("no worker answers: %s", error)
            return ""
        finally:
            self._asked = None
