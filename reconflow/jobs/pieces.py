"""One piece of an upload on its way to the disk: appended, and taken back where its checksum does not fit.

Bytes go straight to the file, unbuffered: what arrived before a kill counts. They are synced once per piece, before its
answer: an offset that a client was told survives a power cut, and a cut in between costs at most that piece. Should a
file system keep the size but lose bytes, the checksums inside the ZIP tell. While a piece with a checksum comes, the
file ``undo`` beside it holds the size to go back to.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from reconflow.errors import ChecksumError, DiskFullError, InputError, TooLargeError
from reconflow.store.publish import publishing

ALGORITHMS = ("sha1", "sha256")
"""Of checksums."""
LOOK_EVERY_BYTES = 64 << 20
"""Between two looks at the disk's free space while an upload comes."""


class Checksum(msgspec.Struct, frozen=True):
    """What a piece must hash to."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> "Checksum":
        """Return the value of an ``Upload-Checksum`` header.

        >>> Checksum.parse("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").algorithm
        'sha1'
        """
        algorithm, _, encoded = text.partition(" ")
        if algorithm not in ALGORITHMS:
            raise InputError(f"Upload-Checksum: known algorithms are {', '.join(ALGORITHMS)}")
        try:
            return cls(algorithm, base64.b64decode(encoded, validate=True))
        except binascii.Error as error:
            raise InputError("Upload-Checksum: expected `ALGORITHM BASE64`") from error


class PieceWriter:
    """Appends one piece, and closes the file, and so gives up its lock, at the end. Not for several threads at once.

    Parameters
    ----------
    path, file : Path, BinaryIO
        What it is appended to; locked, unbuffered, open for reading and writing.
    offset, length : int
        Bytes the file holds now, and those of the whole upload.
    checksum : Checksum, optional
        Of the piece.
    require_space : callable
        Raises :class:`DiskFullError` where an upload of so many bytes does not fit.

    """

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        *,
        offset: int,
        length: int,
        checksum: Checksum | None,
        require_space: Callable[[int], None],
    ):
        self.offset = offset
        self._require_space = require_space
        self._look_at = offset
        self._length = length
        self._path = path
        self._file = file
        self._checksum = checksum
        self._hash = None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
        self._whole = checksum is None
        file.seek(offset)
        if checksum is not None:
            _write_text(_undo(path), str(offset))

    def __enter__(self) -> "PieceWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sync what came, or take it back where a checksum was promised and not met; then let go of the file."""
        try:
            if self._whole:
                os.fsync(self._file.fileno())
                _undo(self._path).unlink(missing_ok=True)
            else:
                roll_back(self._path, self._file)
        finally:
            self._file.close()

    def expect(self, size: int) -> None:
        """Raise :class:`TooLargeError` where so many more bytes are more than were announced."""
        if self.offset + size > self._length:
            raise TooLargeError(f"the upload has more bytes than the {self._length} announced")

    def write(self, block: bytes) -> None:
        """Append bytes.

        Raises
        ------
        TooLargeError
            If there are more than were announced; nothing of the block is kept.
        DiskFullError
            If the disk is full, or a job would not fit; what fitted is kept.

        """
        self.expect(len(block))
        if self.offset >= self._look_at:
            self._require_space(self.offset)
            self._look_at = self.offset + LOOK_EVERY_BYTES
        rest = memoryview(block)
        try:
            while rest:
                written = self._file.write(rest)
                self.offset += written
                rest = rest[written:]
        except OSError as error:
            raise DiskFullError("the disk is full: delete old jobs, then go on with the upload") from error
        if self._hash is not None:
            self._hash.update(block)

    def finish(self) -> int:
        """Check the piece, and return the offset now; without this call a piece with a checksum is dropped.

        Raises
        ------
        ChecksumError
            If it is not what the checksum promised.

        """
        if self._checksum is not None and self._hash is not None:
            if self._hash.digest() != self._checksum.digest:
                raise ChecksumError("the piece does not match its checksum: send it again")
            self._whole = True
        return self.offset


def offset_of(path: Path) -> int:
    """Return how many bytes have come; those that a checksum has yet to confirm do not count."""
    with suppress(FileNotFoundError):
        return int(_undo(path).read_text())
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def roll_back(path: Path, file: BinaryIO) -> None:
    """Drop a piece that a checksum never confirmed; ``file`` is ``path``, locked."""
    with suppress(FileNotFoundError):
        file.truncate(int(_undo(path).read_text()))
        os.fsync(file.fileno())
        _undo(path).unlink()


def _undo(path: Path) -> Path:
    return path.with_name("undo")


def _write_text(path: Path, text: str) -> None:
    with publishing(path) as partial:
        partial.write_text(text)
