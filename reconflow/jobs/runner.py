"""The process that runs jobs: claims them from the ledger, has the engine do them, and publishes what came of it.

A claim is a lease that a heartbeat renews. A runner that dies lets its leases run out, and another one, or the same
after a restart, goes on from what is stored; a runner that was only slow finds its lease gone and lets go. This is
one of the two files where ``except Exception`` may stand: whatever a job does must not end the runner.
"""

import contextlib
import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from reconflow.config import config_from_tree
from reconflow.errors import Cancelled, ClusterError, ReconflowError, RunFolderBusyError, StoreError
from reconflow.jobs.claims import Claims
from reconflow.jobs.files import DataFolder
from reconflow.jobs.lease import Lease
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.logs import about_job
from reconflow.jobs.outbox import Outbox
from reconflow.jobs.publication import publish_result
from reconflow.jobs.records import Job, RunnerState
from reconflow.jobs.removal import keep_house
from reconflow.jobs.settings import ServiceSettings
from reconflow.jobs.states import ErrorCode, error_code, hint
from reconflow.jobs.webhook import send_due_webhooks
from reconflow.jobs.wishes import Wishes, grant_wish
from reconflow.pipeline.certificates import tls
from reconflow.pipeline.cluster import open_client
from reconflow.pipeline.events import Event, Notice, StageStarted
from reconflow.pipeline.machines import machines
from reconflow.pipeline.result import RunResult
from reconflow.pipeline.run import run
from reconflow.pipeline.staff import Staff
from reconflow.stages.insights import Insights

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_IDLE_S = 0.5
_BEAT_S = 4.0
_SWEEP_S = 600.0
_POST_S = 1.0
_FACTS = ("n_images", "n_points", "registration_rate")


class Runner:
    """Claims and runs jobs until it is told to stop.

    Parameters
    ----------
    settings : ServiceSettings
        All settings.
    ledger : Ledger
        Opened by the caller, who closes it.
    name : str
        ``host:pid:random``, never used twice.

    """

    def __init__(self, settings: ServiceSettings, ledger: Ledger, name: str):
        self._settings = settings
        self._ledger = ledger
        self._claims = Claims(ledger)
        self._name = name
        self._files = DataFolder(settings.data_dir, min_free_bytes=settings.min_free_bytes)
        self._stopping = threading.Event()
        self._claiming = threading.Lock()
        self._running: dict[str, Lease] = {}
        self._passed_over: dict[str, float] = {}
        """Jobs that another process still works on, and until when they are left to it."""

    def stop(self) -> None:
        """Give running jobs back, to be gone on with later, and end."""
        self._stopping.set()

    def serve(self) -> None:
        """Run jobs until :meth:`stop`; a cluster that is lost is opened anew."""
        chores = [
            threading.Thread(target=self._again_and_again, args=chore, daemon=True)
            for chore in ((self._keep_house, _SWEEP_S), (self._post, _POST_S), (self._retrain, _POST_S))
        ]
        for chore in chores:
            chore.start()
        try:
            while not self._stopping.is_set():
                try:
                    self._serve_on_a_cluster()
                except ClusterError as error:
                    logger.warning("no cluster: %s", error.message)
                    self._stopping.wait(_BEAT_S)
        finally:
            self.stop()
            for chore in chores:
                chore.join(timeout=1)  # a webhook's receiver may be slow; what it did not take is sent again
            with contextlib.suppress(StoreError):  # it is forgotten after a day anyway
                self._ledger.forget_runner(self._name)

    def _serve_on_a_cluster(self) -> None:
        self._tell(device="", dashboard_url="")
        with self._cluster() as client:
            staff, staffed, lost = Staff(client), threading.Event(), threading.Event()
            slots = [
                threading.Thread(target=self._work, args=(client, staffed, lost), name=f"slot-{number}")
                for number in range(self._settings.max_concurrent_jobs)
            ]
            for slot in slots:
                slot.start()
            while any(slot.is_alive() for slot in slots):
                if client.status != "running":
                    lost.set()
                workers = {} if lost.is_set() else client.scheduler_info(n_workers=-1)["workers"]
                device = "" if lost.is_set() else staff.device(workers)
                self._tell(device=device, dashboard_url=client.dashboard_link or "", machines=machines(workers))
                if device:
                    staffed.set()
                elif staffed.is_set():
                    staffed.clear()
                    self._tell_jobs(f"Waiting for workers: {staff.lacking or 'the scheduler was lost'}.")
                _join_all(slots, timeout_s=_BEAT_S if device else _IDLE_S)
        if lost.is_set():
            raise ClusterError("the scheduler was lost")

    def _cluster(self) -> Any:
        settings = self._settings
        security = None
        if settings.scheduler_tls_ca:
            security = tls(
                ca=settings.scheduler_tls_ca, cert=settings.scheduler_tls_cert, key=settings.scheduler_tls_key
            )
        return open_client(
            settings.scheduler or None,
            workers=settings.workers or None,
            dashboard=f"127.0.0.1:{settings.dashboard_port}",
            security=security,
        )

    def _tell(self, **state: Any) -> None:
        try:
            self._ledger.beat(RunnerState(runner=self._name, seen_at=time.time(), **state))
        except StoreError as error:
            logger.warning("the ledger does not hear of this runner: %s", error.message)

    def _tell_jobs(self, message: str) -> None:
        with self._claiming:
            leases = list(self._running.values())
        for lease in leases:
            lease.hear(Notice(stage="", message=message))

    def _work(self, client: Any, staffed: threading.Event, lost: threading.Event) -> None:
        """One slot: jobs, one after the other, while there are workers for them."""
        while not self._stopping.is_set() and not lost.is_set():
            try:
                claimed = self._claim() if staffed.is_set() else None
                if claimed is None:
                    self._stopping.wait(_IDLE_S)
                    continue
                job, lease = claimed
                try:
                    with about_job(job.job_id):
                        self._run(job, lease, client)
                finally:
                    with self._claiming:
                        del self._running[job.job_id]
            except ClusterError:
                # The lease is left to run out: the job comes back, with this attempt counted.
                lost.set()
            except Exception:
                logger.exception("a slot failed")
                self._stopping.wait(_BEAT_S)

    def _claim(self) -> tuple[Job, Lease] | None:
        """Take the job that is next, but none that somebody still works on: its lease may have run out unseen."""
        with self._claiming:
            now = time.monotonic()
            self._passed_over = {job_id: until for job_id, until in self._passed_over.items() if until > now}
            # A name of its own for each claim: an attempt that was given up must not renew the next one's lease.
            claim = f"{self._name}:{uuid.uuid4().hex[:8]}"
            besides = {*self._running, *self._passed_over}
            job = self._claims.take(claim, lease_s=self._settings.lease_s, besides=besides)
            if job is None:
                return None
            lease = Lease(
                self._ledger,
                job,
                claim,
                lease_s=self._settings.lease_s,
                deadline=now + self._settings.job_timeout_s,
                stopping=self._stopping,
            )
            self._running[job.job_id] = lease
            return job, lease

    def _run(self, job: Job, lease: Lease, client: Any) -> None:
        logger.info("job %s: attempt %d", job.job_id, job.attempt)
        with lease:
            try:
                result = self._reconstruct(job, client, lease)
            except Cancelled:
                self._ended_early(job, lease)
            except ClusterError:
                raise
            except RunFolderBusyError:
                self._leave_to_another(job, lease)
            except Exception as error:  # noqa: BLE001
                self._failed(job, lease, error)
            else:
                self._came_through(job, lease, result)

    def _reconstruct(self, job: Job, client: Any, lease: Lease) -> RunResult:
        def hear(event: Event) -> None:
            if isinstance(event, StageStarted):
                self._files.require_space(0)
            lease.hear(event)

        lease.advance("extracting", 10, "Unpacking and checking the photos.")
        result = run(
            self._files.upload(job.job_id),
            self._files.run(job.job_id),
            client=client,
            config=config_from_tree(job.options),
            dataset=job.dataset_name,
            store=str(self._files.store),
            on_event=hear,
            is_cancelled=lease.is_over,
            watched=True,
            patience_s=math.inf,  # a job waits until it is late
        )
        self._publish(result, job, lease)
        return result

    def _publish(self, result: RunResult, job: Job, lease: Lease) -> None:
        lease.check()
        self._files.require_space(0)
        lease.advance("decimating", 98, "Publishing the results.")
        publish_result(result, job, self._files.result(job.job_id), check=lease.check)
        lease.check()

    def _came_through(self, job: Job, lease: Lease, result: RunResult) -> None:
        found = result.insights
        if result.clusters:
            self._finish(job, lease, "success", f"{result.outcome}.", facts=found)
        else:
            code, sentence = _why_nothing(found)
            self._finish(job, lease, "failed", hint(code), error=sentence, code=code, facts=found)

    def _failed(self, job: Job, lease: Lease, error: Exception) -> None:
        code = error_code(error)
        if code == "internal":
            logger.error("job %s failed", job.job_id, exc_info=error)
        sentence = error.message if isinstance(error, ReconflowError) else _sentence(code)
        self._finish(job, lease, "failed", hint(code), error=sentence, code=code)

    def _ended_early(self, job: Job, lease: Lease) -> None:
        """The engine stopped because the lease told it to: say which of the reasons it was."""
        if lease.lost.is_set():
            logger.warning("job %s: the lease went to another runner", job.job_id)
        elif self._insist(lambda: self._ledger.is_cancel_requested(job.job_id)):
            self._finish(job, lease, "cancelled", "Cancelled.", code="cancelled")
        elif lease.is_late():
            minutes = self._settings.job_timeout_s / 60
            self._finish(
                job, lease, "failed", hint("timeout"), error=f"not done after {minutes:.0f} minutes", code="timeout"
            )
        else:
            self._insist(lambda: self._claims.release(job.job_id, lease.claim))

    def _leave_to_another(self, job: Job, lease: Lease) -> None:
        """Give a job back whose last runner was only slow, and has yet to see that it is not its own any more."""
        logger.warning("job %s: the runner that had it before still works on it", job.job_id)
        self._passed_over[job.job_id] = time.monotonic() + self._settings.lease_s
        message = "Waiting for the process that had the job before."
        self._insist(lambda: self._claims.release(job.job_id, lease.claim, message=message))

    def _finish(
        self,
        job: Job,
        lease: Lease,
        stage: Any,
        message: str,
        *,
        error: str | None = None,
        code: ErrorCode | None = None,
        facts: Insights | None = None,
    ) -> None:
        numbers = {name: getattr(facts, name) for name in _FACTS} if facts else {}
        ended = self._insist(
            lambda: self._claims.finish(
                job.job_id,
                lease.claim,
                stage=stage,
                message=message,
                error=error,
                error_code=code,
                facts=numbers,
            )
        )
        if ended:
            logger.info("job %s: %s %s", job.job_id, ended, (code or "") if ended == stage else "")

    def _insist(self, ask: Callable[[], _T]) -> _T:
        """Return what the ledger answers, once it does; a runner that ends does not wait for it."""
        while True:
            try:
                return ask()
            except StoreError as error:
                logger.warning("the ledger is asked again: %s", error.message)
                if self._stopping.wait(_IDLE_S):
                    raise

    def _again_and_again(self, chore: Callable[[], None], every_s: float) -> None:
        while not self._stopping.is_set():
            try:
                chore()
            except (ReconflowError, OSError) as error:
                logger.warning("a chore failed and is tried again: %s", error)
            except Exception:
                logger.exception("a chore failed and is tried again")
            self._stopping.wait(every_s)

    def _post(self) -> None:
        send_due_webhooks(Outbox(self._ledger), secret=self._settings.webhook_secret)

    def _retrain(self) -> None:
        grant_wish(Wishes(self._ledger), self._settings)

    def _keep_house(self) -> None:
        keep_house(ledger=self._ledger, files=self._files)


def _join_all(threads: Sequence[threading.Thread], *, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _why_nothing(found: Insights) -> tuple[ErrorCode, str]:
    killed = next((fate.reason for fate in found.images if "memory ran out" in fate.reason), "")
    if killed:
        return "out_of_memory", killed
    if not found.n_verified_pairs:
        return "no_matches", f"no two of the {found.n_readable} photos show the same place"
    return "no_model", f"{found.n_verified_pairs} pairs of photos match, but no scene could be reconstructed from them"


def _sentence(code: ErrorCode) -> str:
    return {
        "out_of_memory": "memory ran out",
        "disk_full": "the disk is full",
        "timeout": "something took too long to answer",
    }.get(code, "something went wrong inside the service")
