"""A lock that threads and processes of a machine share, as a file that is there while someone holds it."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.2
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK})
"""What file systems say that know no locks: there nobody waits."""


@contextmanager
def taking_turns(path: Path, *, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock at ``path`` for the block, after whoever holds it now.

    ``waiting`` is called several times a second meanwhile; what it raises ends the wait. The lock of a process that
    dies is free at once.
    """
    while True:
        with path.open("ab") as file:
            if _taken(file.fileno()) and _is_at(file.fileno(), path):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)  # while it is held: who waits for it sees that it is another's
                return
        waiting()
        time.sleep(_POLL_S)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
