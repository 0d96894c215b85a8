"""A claimed job while it runs: keeps the claim alive, tells the ledger how far it is, and says when to stop."""

import contextvars
import logging
import threading
import time
from types import TracebackType

from reconflow.errors import Cancelled, ReconflowError, StoreError
from reconflow.jobs.claims import Claims
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import Job
from reconflow.jobs.states import PROGRESS, Stage, engine_progress
from reconflow.pipeline.events import Event, Notice, StageAdvanced, StageFinished, StageStarted

logger = logging.getLogger(__name__)

_TELL_EVERY_S = 0.5
_RENEWALS = 5
"""Renewals in the time of one lease: several may fail before the claim is lost."""


class Lease:
    """One attempt at one job. As a context it renews its claim in the background.

    Parameters
    ----------
    ledger : Ledger
        Where the claim is.
    job : Job
        What was claimed.
    claim : str
        The name it was claimed under.
    lease_s : float
        For how long a claim holds.
    deadline : float
        On the clock of ``time.monotonic``: when the job has taken too long.
    stopping : threading.Event
        Set when the whole runner ends.

    """

    def __init__(
        self, ledger: Ledger, job: Job, claim: str, *, lease_s: float, deadline: float, stopping: threading.Event
    ):
        self.lost = threading.Event()
        """Set once the claim belongs to somebody else."""
        self.claim = claim
        self._ledger = ledger
        self._claims = Claims(ledger)
        self._job_id = job.job_id
        self._lease_s = lease_s
        self._deadline = deadline
        self._stopping = stopping
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._stage: Stage | None = None
        self._told_at = 0.0
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._renew,), name="lease")

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def is_late(self) -> bool:
        """Return whether the job has taken too long."""
        return time.monotonic() > self._deadline

    def is_over(self) -> bool:
        """Return whether to stop: the job was cancelled, took too long, or is not ours any more; or the runner ends."""
        return self.lost.is_set() or self._cancelled.is_set() or self._stopping.is_set() or self.is_late()

    def check(self) -> None:
        """Raise :class:`Cancelled` when it is over."""
        if self.is_over():
            raise Cancelled("the job was stopped")

    def advance(self, stage: Stage, progress: float, message: str) -> None:
        """Tell how far the job is."""
        self._told_at = time.monotonic()
        if self._tell("progress" if stage == self._stage else "stage", stage, progress, message):
            self._stage = stage

    def hear(self, event: Event) -> None:
        """Pass an event of the engine on; a steady stream of small steps is thinned out."""
        if isinstance(event, Notice):
            stage = self._stage or "extracting"
            self._tell("notice", stage, PROGRESS[stage], event.message)
        elif isinstance(event, StageStarted):
            stage, progress = engine_progress(event.stage, event.reused, event.total)
            reused = f", {event.reused} of them stored already" if event.reused else ""
            self.advance(stage, progress, f"{event.stage}: {event.total} {event.unit}{reused}")
        elif isinstance(event, StageFinished):
            stage, progress = engine_progress(event.stage, 1, 1)
            self.advance(stage, progress, f"{event.stage}: done in {event.seconds:.1f} s")
        elif time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._step(event)

    def _tell(self, kind: str, stage: Stage, progress: float, message: str) -> bool:
        """Return whether the ledger took it. One that does not answer costs a line of the log, never the job."""
        try:
            ours = self._claims.advance(
                self._job_id, self.claim, stage=stage, progress=progress, message=message, kind=kind
            )
        except StoreError as error:
            logger.warning("job %s: the ledger does not hear that %s: %s", self._job_id, message, error.message)
            return False
        if not ours:
            self.lost.set()
        return ours

    def _step(self, event: StageAdvanced) -> None:
        stage, progress = engine_progress(event.stage, event.done, event.total)
        self.advance(stage, progress, f"{event.stage}: {event.done} of {event.total}")

    def _renew(self) -> None:
        while not self._ended.wait(min(1.0, self._lease_s / _RENEWALS)):
            try:
                if not self._claims.renew(self._job_id, self.claim, lease_s=self._lease_s):
                    self.lost.set()
                if self._ledger.is_cancel_requested(self._job_id):
                    self._cancelled.set()
            except ReconflowError as error:
                logger.warning("job %s: the ledger does not answer: %s", self._job_id, error.message)
