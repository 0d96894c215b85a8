"""The data directory: where uploads, runs and results lie, and whether there is room for more.

::

    data_dir/
    ├── incoming/            uploads under way; a name carries the process that writes it
    ├── uploads/             resumable uploads (`reconflow.jobs.uploads`)
    ├── jobs/<job id>/
    │   ├── upload.zip       what was sent
    │   ├── run/             the engine's folder: it goes on from here after a crash
    │   └── result/          what is downloaded, published whole
    ├── store/               features and matches of all jobs, by content
    └── reconflow.db         the ledger, unless it is on PostgreSQL
"""

import contextlib
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from reconflow.errors import DiskFullError
from reconflow.jobs.uploads import Uploads
from reconflow.store.publish import sweep_old_partials, sweep_partials

logger = logging.getLogger(__name__)

_DELETED = ".deleted-"
_UNSETTLED = ".unsettled"
_UNSETTLED_S = 3600.0
"""Older marks are of processes that died: between mark and ledger lies little work."""
_ABANDONED_S = 86_400.0
"""Nobody who still writes an upload, or looks at one, is silent for so long."""


class DataFolder:
    """The places below one data directory.

    Parameters
    ----------
    path : Path
        The directory; made where it is missing, and then for nobody else to read.
    min_free_bytes : int
        What has to stay free on its disk.

    """

    def __init__(self, path: Path, *, min_free_bytes: int):
        self.path = path.absolute()
        self._min_free_bytes = min_free_bytes
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.incoming, self.jobs):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def incoming(self) -> Path:
        """Where uploads are streamed to."""
        return self.path / "incoming"

    @property
    def uploads(self) -> Path:
        """Where resumable uploads are."""
        return self.path / "uploads"

    @property
    def jobs(self) -> Path:
        """One folder per job."""
        return self.path / "jobs"

    @property
    def store(self) -> Path:
        """Features and matches of all jobs."""
        return self.path / "store"

    def job(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.jobs / str(uuid.UUID(job_id))

    def upload(self, job_id: str) -> Path:
        """Return where the ZIP of a job is."""
        return self.job(job_id) / "upload.zip"

    def run(self, job_id: str) -> Path:
        """Return the engine's folder of a job."""
        return self.job(job_id) / "run"

    def live_cloud(self, job_id: str) -> bytes | None:
        """Return the largest cloud of the scenes of a job that are being mapped."""
        clouds = (self.run(job_id) / "work" / "live").glob("[!.]*.bin")
        with contextlib.suppress(FileNotFoundError):  # mapping has ended this very moment
            largest = max(clouds, key=lambda path: path.stat().st_size, default=None)
            return None if largest is None else largest.read_bytes()
        return None

    def result(self, job_id: str) -> Path:
        """Return where the published result of a job is."""
        return self.job(job_id) / "result"

    def incoming_path(self) -> Path:
        """Return a fresh name for an upload; :meth:`sweep` knows whose it is."""
        return self.incoming / f".partial-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}-upload.zip"

    def free_bytes(self) -> int:
        """Return the free space on the disk."""
        return shutil.disk_usage(self.path).free

    def require_space(self, n_bytes: int) -> None:
        """Raise :class:`DiskFullError` unless ``n_bytes`` fit and the reserve stays free."""
        missing = n_bytes + self._min_free_bytes - self.free_bytes()
        if missing > 0:
            raise DiskFullError(f"{missing / 1e6:,.0f} MB of disk space are missing: delete old jobs, or try later")

    def leave_to_ledger(self, folder: Path) -> None:
        """Say that a job's folder goes unless the ledger has the job: before the ledger is told of it, or drops it.

        Only folders with this mark are ever removed for not being in the ledger: with the wrong ledger all others stay.
        """
        with suppress(FileNotFoundError):
            (folder / _UNSETTLED).touch()

    def settle(self, job_id: str) -> None:
        """Take the mark away: the ledger has the job."""
        (self.job(job_id) / _UNSETTLED).unlink(missing_ok=True)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name, or a copy where the file system knows no links."""
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    def delete(self, job_id: str) -> None:
        """Remove everything of a job; the name goes first, so that a crash in between leaves no half a job."""
        folder = self.job(job_id)
        doomed = folder.with_name(f"{_DELETED}{folder.name}-{uuid.uuid4().hex[:8]}")
        with suppress(FileNotFoundError):
            folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self, *, is_job: Callable[[str], bool]) -> None:
        """Drop expired uploads, and finish what processes that died had begun: deletions, files of this host's.

        Uploads on their way to a host that is gone go after a day. ``is_job`` tells whether the ledger has a job.
        """
        for mark in self.jobs.glob(f"[!.]*/{_UNSETTLED}"):
            with suppress(FileNotFoundError):  # whoever put it there takes it away, or deletes the folder
                if time.time() - mark.stat().st_mtime < _UNSETTLED_S:
                    continue
                if is_job(mark.parent.name):
                    mark.unlink()
                else:
                    self.delete(mark.parent.name)
        for doomed in self.jobs.glob(f"{_DELETED}*"):
            shutil.rmtree(doomed, ignore_errors=True)
        swept = sum(sweep_partials(folder) for folder in (self.incoming, self.jobs, self.store))
        swept += sum(sweep_old_partials(folder, age_s=_ABANDONED_S) for folder in (self.incoming, self.jobs))
        swept += Uploads(self.uploads).sweep()
        if swept:
            logger.info("removed %d uploads and files that were left unfinished", swept)
