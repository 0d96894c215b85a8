"""Uploads that come in pieces and go on after a lost connection or a killed process.

::

    uploads/<upload id>/
    ├── about.json   whose it is, how long, what it is to become; always written whole
    ├── photos.zip   the bytes that have come: its size is the offset, whatever died
    └── undo         while a piece with a checksum comes: the size to go back to if it does not come whole

Whoever changes an upload holds a file lock on ``photos.zip``: it works among processes and falls with its holder, so a
kill leaves nothing locked.
"""

import fcntl
import shutil
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from reconflow import errors
from reconflow.errors import (
    InputError,
    NotFoundError,
    OffsetError,
    ReconflowError,
    ThrottledError,
    UploadBusyError,
    UploadEndedError,
)
from reconflow.jobs.forms import UploadForm
from reconflow.jobs.pieces import Checksum, PieceWriter, offset_of, roll_back
from reconflow.jobs.records import is_uuid
from reconflow.store.publish import publishing, sweep_partials

_MOST_OPEN = 100
"""Unfinished uploads of one account."""
_DELETED = ".deleted-"
LIFETIME_S = 86_400.0


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an upload beside its bytes."""

    owner_id: str
    length: int
    """Of the whole upload, in bytes."""
    lifetime_s: float
    """It expires so long after its last byte."""
    metadata: str
    """As the client sent it."""
    form: UploadForm
    job_id: str | None = None
    """What it became."""
    refused_as: str | None = None
    """The name of the error it was refused with, and its sentence."""
    refused_because: str = ""

    @property
    def ended(self) -> bool:
        """Whether it became a job or was refused."""
        return self.job_id is not None or self.refused_as is not None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload as it stands."""

    upload_id: str
    about: About
    offset: int
    """How many bytes have come for good."""
    expires_at: float
    path: Path
    """Of the bytes; gone once it has ended."""


class Uploads:
    """The uploads below one folder. Every method may be called from any thread of any process.

    Parameters
    ----------
    folder : Path
        Where they lie; made where it is missing.
    lifetime_s : float
        Uploads made from now on expire so long after their last byte.
    require_space : callable, optional
        Raises :class:`DiskFullError` where an upload of so many bytes does not fit; asked while pieces come.

    """

    def __init__(
        self,
        folder: Path,
        *,
        lifetime_s: float = LIFETIME_S,
        require_space: Callable[[int], None] = lambda n_bytes: None,
    ):
        self._folder = folder
        self._lifetime_s = lifetime_s
        self._require_space = require_space
        folder.mkdir(parents=True, exist_ok=True)

    def create(self, owner_id: str, *, length: int, metadata: str, form: UploadForm) -> Upload:
        """Make an upload that waits for its bytes.

        Raises
        ------
        ThrottledError
            If the owner has too many unfinished ones.

        """
        if sum(about.owner_id == owner_id and not about.ended for about in self._all()) >= _MOST_OPEN:
            raise ThrottledError(f"you have {_MOST_OPEN} unfinished uploads: finish or delete some first")
        upload_id = str(uuid.uuid4())
        about = About(owner_id=owner_id, length=length, lifetime_s=self._lifetime_s, metadata=metadata, form=form)
        with publishing(self._folder / upload_id) as partial:
            partial.mkdir()
            (partial / "about.json").write_bytes(msgspec.json.encode(about))
            (partial / "photos.zip").touch()
        return self.get(owner_id, upload_id)

    def get(self, owner_id: str, upload_id: str) -> Upload:
        """Return an upload of an owner; one that became a job counts as complete.

        Raises
        ------
        NotFoundError
            If there is none.
        UploadEndedError
            If it was refused, or nothing came for too long.

        """
        upload = self._read(owner_id, upload_id)
        if upload.about.refused_as is not None:
            raise UploadEndedError(f"the upload was refused: {upload.about.refused_because}")
        return upload

    def writer(self, owner_id: str, upload_id: str, *, offset: int, checksum: Checksum | None = None) -> PieceWriter:
        """Return what appends a piece that begins at ``offset``.

        Raises
        ------
        OffsetError
            If so many bytes have not come, or more have.
        UploadBusyError
            If another piece is on its way.

        """
        self._unended(owner_id, upload_id)
        file = self._locked(upload_id)
        try:
            roll_back(self._path(upload_id), file)
            upload = self._unended(owner_id, upload_id)
            if upload.offset != offset:
                raise OffsetError(f"{upload.offset} bytes have come: go on from there, not from {offset}")
            return PieceWriter(
                upload.path,
                file,
                offset=offset,
                length=upload.about.length,
                checksum=checksum,
                require_space=self._require_space,
            )
        except BaseException:
            file.close()
            raise

    @contextmanager
    def ending(self, owner_id: str, upload_id: str) -> Generator[Upload]:
        """Give a complete upload to whoever makes a job of it; one that has ended before as it is.

        Raises
        ------
        OffsetError
            If bytes are missing.
        UploadBusyError
            If a piece is on its way, or somebody else is making the job.
        ReconflowError
            The error it was refused with before.

        """
        upload = self._read(owner_id, upload_id)
        if upload.about.ended:
            yield _unless_refused(upload)
            return
        with self._locked(upload_id) as file:
            roll_back(upload.path, file)
            upload = _unless_refused(self._read(owner_id, upload_id))
            if upload.about.job_id is None and upload.offset < upload.about.length:
                raise OffsetError(f"{upload.offset} of {upload.about.length} bytes have come: send the rest first")
            yield upload

    def became(self, upload: Upload, job_id: str) -> None:
        """Note the job that was made of an upload, and drop the bytes."""
        self._end(upload, msgspec.structs.replace(upload.about, job_id=job_id))

    def refuse(self, upload: Upload, error: ReconflowError) -> None:
        """Note why no job can be made of an upload, and drop the bytes."""
        why = {"refused_as": type(error).__name__, "refused_because": error.message}
        self._end(upload, msgspec.structs.replace(upload.about, **why))

    def delete(self, owner_id: str, upload_id: str) -> None:
        """Drop an upload; what it became stays."""
        if self._read(owner_id, upload_id, late=True).about.ended:
            self._remove(upload_id)
            return
        with self._locked(upload_id):
            self._remove(upload_id)

    def sweep(self) -> int:
        """Drop what has expired or was left by processes that died, and return how many names that were."""
        swept = sweep_partials(self._folder)
        for doomed in self._folder.glob(f"{_DELETED}*"):
            shutil.rmtree(doomed, ignore_errors=True)
        for folder in sorted(self._folder.iterdir()):
            if is_uuid(folder.name) and self._is_late(folder):
                with suppress(UploadBusyError, NotFoundError):
                    if (folder / "photos.zip").exists():
                        with self._locked(folder.name):
                            self._remove(folder.name)
                    else:
                        self._remove(folder.name)
                    swept += 1
        return swept

    def _path(self, upload_id: str) -> Path:
        if not is_uuid(upload_id):
            raise NotFoundError("there is no such upload")
        return self._folder / upload_id / "photos.zip"

    def _read(self, owner_id: str, upload_id: str, *, late: bool = False) -> Upload:
        path = self._path(upload_id)
        about = _about(path.parent)
        if about is None or about.owner_id != owner_id:
            raise NotFoundError("there is no such upload")
        upload = Upload(
            upload_id=upload_id,
            about=about,
            offset=about.length if about.ended else offset_of(path),
            expires_at=_touched_at(path.parent) + about.lifetime_s,
            path=path,
        )
        if upload.expires_at < time.time() and not late:
            raise UploadEndedError("the upload has expired: nothing came for too long")
        return upload

    def _unended(self, owner_id: str, upload_id: str) -> Upload:
        upload = self.get(owner_id, upload_id)
        if upload.about.job_id is not None:
            raise UploadEndedError("the upload is complete, and a job was made of it")
        return upload

    def _locked(self, upload_id: str) -> BinaryIO:
        try:
            file = self._path(upload_id).open("r+b", buffering=0)
        except FileNotFoundError as error:
            raise NotFoundError("there is no such upload") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise UploadBusyError("the upload is being written to: try again in a moment") from error
        return file  # pyright: ignore[reportReturnType] - an unbuffered file is a BinaryIO in all but name

    def _end(self, upload: Upload, about: About) -> None:
        with publishing(upload.path.parent / "about.json") as partial:
            partial.write_bytes(msgspec.json.encode(about))
        upload.path.unlink(missing_ok=True)

    def _remove(self, upload_id: str) -> None:
        """The name goes first, so that no half of an upload is ever found."""
        doomed = self._folder / f"{_DELETED}{upload_id}-{uuid.uuid4().hex[:8]}"
        with suppress(FileNotFoundError):
            (self._folder / upload_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _all(self) -> list[About]:
        found = (_about(folder) for folder in self._folder.iterdir() if is_uuid(folder.name))
        return [about for about in found if about is not None]

    def _is_late(self, folder: Path) -> bool:
        about = _about(folder)
        return about is not None and _touched_at(folder) + about.lifetime_s < time.time()


def _unless_refused(upload: Upload) -> Upload:
    if upload.about.refused_as is not None:
        raise getattr(errors, upload.about.refused_as, InputError)(upload.about.refused_because)
    return upload


def _about(folder: Path) -> About | None:
    try:
        return msgspec.json.decode((folder / "about.json").read_bytes(), type=About)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None


def _touched_at(folder: Path) -> float:
    for name in ("photos.zip", "about.json"):
        with suppress(FileNotFoundError):
            return (folder / name).stat().st_mtime
    return time.time()
