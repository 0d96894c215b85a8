"""Jobs go from the ledger and from the disk: whichever moment a process dies at, the other half follows."""

import time

from reconflow.jobs.files import DataFolder
from reconflow.jobs.ledger import Ledger


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
    for job in ledger.expired(time.time()):
        remove_job(job.job_id, ledger=ledger, files=files)
    files.sweep(is_job=lambda job_id: ledger.job(job_id) is not None)
