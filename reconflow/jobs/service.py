"""The only door between the web and the library: uploads become jobs, jobs are asked about, and results are found.

Nothing here computes: a runner does (`reconflow.jobs.runner`), in a process of its own. Both know of each other only
through the ledger. Every method may be called from any thread.
"""

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconflow.config import PipelineConfig, config_to_tree
from reconflow.core.drift import DriftReport
from reconflow.errors import (
    ForbiddenError,
    InputError,
    JobStateError,
    NotFoundError,
    StoreError,
    TooLargeError,
)
from reconflow.jobs import intake
from reconflow.jobs.ended_jobs import EndedJobs
from reconflow.jobs.files import DataFolder
from reconflow.jobs.forms import UploadForm, check_form, parsed_options
from reconflow.jobs.job_insights import JobInsights, job_insights
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.listing import JobFilter, check_filter
from reconflow.jobs.options import JobOptions
from reconflow.jobs.records import Job, JobEvent, JobPage, User, is_uuid
from reconflow.jobs.removal import remove_job
from reconflow.jobs.results import ClusterEntry, JobResult
from reconflow.jobs.retrain import retrain
from reconflow.jobs.service_status import ServiceStatus, alive_runners, best_device, service_status
from reconflow.jobs.settings import ServiceSettings
from reconflow.jobs.states import FINISHED, may_cancel, may_retry
from reconflow.jobs.uploads import Upload, Uploads
from reconflow.jobs.wishes import Wishes
from reconflow.store.publish import publishing

logger = logging.getLogger(__name__)

EVENTS_AT_ONCE = 500
_UPLOAD_GROWS = 3
"""A job needs about so many times its upload: the ZIP, the unpacked photos, and what is made of them."""


class JobService:
    """Jobs of all users.

    Parameters
    ----------
    settings : ServiceSettings
        All settings.
    ledger : Ledger
        Opened by the caller, who closes it.

    """

    def __init__(self, settings: ServiceSettings, ledger: Ledger):
        self.settings = settings
        self.ledger = ledger
        self.files = DataFolder(settings.data_dir, min_free_bytes=settings.min_free_bytes)
        self.uploads = Uploads(
            self.files.uploads, lifetime_s=settings.upload_expiry_s, require_space=self.require_space
        )
        self._options = JobOptions(settings.config)
        self._stopping = threading.Event()
        self._on_accepted: list[Callable[[Job], None]] = []

    def on_accepted(self, listener: Callable[[Job], None]) -> None:
        """Have ``listener`` called with every job that is made of an upload, once."""
        self._on_accepted.append(listener)

    def stop(self) -> None:
        """End every look at an upload that is under way; resumable uploads keep their bytes."""
        self._stopping.set()

    def incoming_path(self) -> Path:
        """Return a fresh file name to stream an upload to; :meth:`accept_upload` takes the file over."""
        return self.files.incoming_path()

    def require_space(self, n_bytes: int) -> None:
        """Raise :class:`DiskFullError` where an upload of ``n_bytes``, and what a job makes of it, does not fit."""
        self.files.require_space(_UPLOAD_GROWS * n_bytes)

    def accept_upload(self, owner: User, upload: Path, **fields: Any) -> Job:
        """Make a queued job of an uploaded ZIP; the file is taken over, or removed where it is refused.

        ``fields`` are those of :class:`UploadForm`.

        Raises
        ------
        InputError
            If the ZIP is refused, or a name is empty or too long.
        ConfigError
            If an option is unknown or out of range.
        DiskFullError
            If there is no room to work on it.
        NotExaminedError
            If the look at it was ended before its end.

        """
        try:
            return self._accept(owner, upload, UploadForm(**fields), job_id=str(uuid.uuid4()))
        finally:
            upload.unlink(missing_ok=True)

    def begin_upload(self, owner: User, *, length: int, metadata: str, form: UploadForm) -> Upload:
        """Make a resumable upload of ``length`` bytes, once it is sure that a job could be made of it.

        Raises the errors of :meth:`accept_upload`, and :class:`TooLargeError`.
        """
        check_form(form)
        self._options.config(parsed_options(form.options))
        self._check_size(length)
        self.require_space(length)
        return self.uploads.create(owner.user_id, length=length, metadata=metadata, form=form)

    def end_upload(self, owner: User, upload_id: str) -> str:
        """Make a job of a complete resumable upload and return its id; asking again gives the same, refusals too.

        The job takes the upload's id, so that a process that dies half-way through makes no second one.
        """
        with self.uploads.ending(owner.user_id, upload_id) as upload:
            if upload.about.job_id is not None:
                return upload.about.job_id
            job = self.ledger.job(upload_id)
            if job is None:
                try:
                    job = self._accept(owner, upload.path, upload.about.form, job_id=upload_id)
                except (InputError, TooLargeError) as error:
                    self.uploads.refuse(upload, error)
                    raise
            self.uploads.became(upload, job.job_id)
            return job.job_id

    def _accept(self, owner: User, upload: Path, form: UploadForm, *, job_id: str) -> Job:
        check_form(form)
        config = self._options.config(parsed_options(form.options))
        self.files.delete(job_id)  # what an attempt left that a crash ended before the ledger knew of the job
        stored = self.ledger.job_of_key(owner.user_id, form.idempotency_key)
        if stored is not None:  # sent again: no minutes for a look at what is there already
            return stored
        size = upload.stat().st_size
        self._check_size(size)
        self.require_space(size)
        with publishing(self.files.job(job_id)) as partial:
            (partial / "run").mkdir(parents=True)
            seen = intake.look_at(
                upload,
                unpack_to=partial / "run" / "work" / "photos",
                baseline=self.settings.baseline_path,
                max_megapixels=config.ingest.max_megapixels,
                stopping=self._stopping,
                reserve_bytes=self.settings.min_free_bytes,
            )
            self.files.link(upload, partial / "upload.zip")
            self.files.leave_to_ledger(partial)
        job = Job(
            job_id=job_id,
            owner_id=owner.user_id,
            dataset_name=form.dataset_name,
            scene_name=form.scene_name,
            message="Waiting for a free slot.",
            created_at=time.time(),
            n_images=seen.n_images,
            options=config_to_tree(config),
            drift=seen.drift,
            webhook_url=form.webhook_url,
        )
        odd = self.settings.retrain_on_high_drift and seen.drift.severity == "high"
        stored, fresh = self.ledger.add_job(job, idempotency_key=form.idempotency_key, wants_retraining=odd)
        if not fresh:
            self.files.delete(job_id)
            return stored
        self.files.settle(job_id)
        for listener in self._on_accepted:
            listener(stored)
        return stored

    def _check_size(self, size: int) -> None:
        if size > self.settings.max_upload_bytes:
            raise TooLargeError(f"the upload is larger than {self.settings.max_upload_bytes >> 20} MB")

    def job(self, user: User, job_id: str) -> Job:
        """Return a job; to its owner, or to an administrator."""
        job = self.ledger.job(job_id) if is_uuid(job_id) else None
        if job is None or (job.owner_id != user.user_id and user.role != "admin"):
            raise NotFoundError(f"there is no job {job_id}")
        return job

    def jobs(self, user: User, *, cursor: str | None = None, limit: int = 50, **wanted: Any) -> JobPage:
        """Return jobs newest first: a user's own, or everybody's to an administrator.

        ``wanted`` are the fields of :class:`JobFilter`, but for the owner.
        """
        owner = None if user.role == "admin" else user.user_id
        check_filter(JobFilter(owner_id=owner, **wanted))
        return self.ledger.jobs(owner_id=owner, cursor=cursor, limit=limit, **wanted)

    def cancel(self, user: User, job_id: str) -> Job:
        """Ask for a job to end; a queued one ends at once, a running one within seconds."""
        job = self.job(user, job_id)
        if not may_cancel(job.stage):
            raise JobStateError(f"the job has already ended: {job.stage}")
        return self.ledger.request_cancel(job_id) or job

    def retry(self, user: User, job_id: str, *, options: Mapping[str, Any] | None = None) -> Job:
        """Queue a failed or cancelled job again; it goes on from what is stored."""
        job = self.job(user, job_id)
        if not may_retry(job.stage):
            raise JobStateError(f"only failed or cancelled jobs can be retried, and this one is {job.stage}")
        fresh = config_to_tree(self._options.config(options)) if options else None
        return self.ledger.retry(job_id, options=fresh) or job

    def delete(self, user: User, job_id: str) -> None:
        """Remove a job that does not run, with its files. Features other jobs may share stay."""
        self.job(user, job_id)
        remove_job(job_id, ledger=self.ledger, files=self.files)

    def events(self, user: User, job_id: str, *, after_id: int = 0, limit: int = EVENTS_AT_ONCE) -> list[JobEvent]:
        """Return the job's log after an event, so much of it at once."""
        self.job(user, job_id)
        return self.ledger.events(job_id, after_id=after_id, limit=limit)

    def result(self, user: User, job_id: str) -> JobResult:
        """Return the files of a job that has ended."""
        job = self.job(user, job_id)
        if job.stage not in FINISHED:
            raise JobStateError(f"the job is not finished: {job.stage}")
        return JobResult(self.files.result(job_id))

    def live_cloud(self, user: User, job_id: str) -> bytes | None:
        """Return the points that there are while a job is being mapped, of its largest scene; ``None`` before any."""
        job = self.job(user, job_id)
        if job.stage in FINISHED:
            raise JobStateError(f"the job has ended: {job.stage}")
        return self.files.live_cloud(job_id)

    def clusters(self, user: User, job_id: str) -> list[ClusterEntry]:
        """Return the models of a job; none while there are none."""
        self.job(user, job_id)
        try:
            return JobResult(self.files.result(job_id)).clusters()
        except NotFoundError:
            return []

    def insights(self, user: User, job_id: str) -> JobInsights:
        """Return the job in numbers."""
        job = self.job(user, job_id)
        return job_insights(job, JobResult(self.files.result(job_id)))

    def check_drift(self, upload: Path) -> DriftReport:
        """Return how unlike the baseline the photos of a ZIP look; nothing is kept."""
        place = self.files.incoming_path().with_suffix("")
        try:
            return intake.look_at(
                upload,
                unpack_to=place,
                baseline=self.settings.baseline_path,
                max_megapixels=PipelineConfig().ingest.max_megapixels,
                fewest=1,
                stopping=self._stopping,
                reserve_bytes=self.settings.min_free_bytes,
            ).drift
        finally:
            upload.unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)

    def trigger_retrain(self, user: User) -> None:
        """Start the retraining pipeline, now: the cool-down that this begins holds back only what uploads ask for.

        Raises
        ------
        ForbiddenError
            If the user is no administrator.
        RetrainError
            If Airflow cannot be reached, or refuses.

        """
        if user.role != "admin":
            raise ForbiddenError("only administrators may trigger retraining")
        retrain(self.settings, conf={"asked_by": user.name})
        try:
            Wishes(self.ledger).granted()
        except StoreError as error:  # it has begun, whatever the ledger knows of it
            logger.warning("the ledger does not hear that retraining was triggered: %s", error.message)

    def device(self) -> str:
        """Return the device of a worker, as it told of itself.

        Raises
        ------
        NotReadyError
            While no worker is up.

        """
        return best_device(alive_runners(self.ledger))

    def options_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the options, the presets, what jobs start from, and which methods can run here."""
        return self._options.described()

    def status(self) -> ServiceStatus:
        """Return how the service is doing now."""
        return service_status(self.ledger, self.files)

    def ended_jobs(self) -> EndedJobs:
        """Return what tells of everybody's jobs that end from now on, each once."""
        return EndedJobs(self.ledger, self.files)
