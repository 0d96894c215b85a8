"""Jobs go from the ledger and from the disk: whichever moment a process dies at, the other half follows."""

import logging
import time

from reconflow.jobs.files import DataFolder
from reconflow.jobs.ledger import Ledger

logger = logging.getLogger(__name__)


def remove_job(job_id: str, *, ledger: Ledger, files: DataFolder) -> bool:
    """Remove a job with its log and files; return whether the ledger had it.

    Raises
    ------
    JobStateError
        If it is running.

    """
    files.leave_to_ledger(files.job(job_id))
    found = ledger.delete(job_id)
    files.delete(job_id)
    return found


def keep_house(*, ledger: Ledger, files: DataFolder) -> None:
    """Remove the jobs whose time has come, and what dead processes left unfinished."""
    now = time.time()
    for job in ledger.expired(now):
        try:
            _remove_expired(job.job_id, now, ledger=ledger, files=files)
        except OSError as error:  # the others have nothing to do with it
            logger.warning("job %s: its files cannot be removed, which is tried again: %s", job.job_id, error)
    files.sweep(is_job=lambda job_id: ledger.job(job_id) is not None)


def _remove_expired(job_id: str, now: float, *, ledger: Ledger, files: DataFolder) -> None:
    files.leave_to_ledger(files.job(job_id))
    if ledger.delete(job_id, expired_before=now):
        files.delete(job_id)
    elif ledger.job(job_id) is not None:  # somebody tried it again in the meantime
        files.settle(job_id)
