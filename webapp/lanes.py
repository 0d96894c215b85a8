"""Threads for what takes long, apart from those that answer: a crowd of uploads or logins stops nothing else."""

import os

from anyio import CapacityLimiter

_FEWEST = 2
"""One large upload does not keep the next one waiting for its look."""


class Lanes:
    """How much of each kind of slow work is done at once; the rest waits, and holds no thread that answers."""

    def __init__(self) -> None:
        cores = max(_FEWEST, os.cpu_count() or 1)
        self.looks = CapacityLimiter(cores)
        """Looks at uploads, each a process that decodes photos."""
        self.passwords = CapacityLimiter(cores)
        """Password hashes, each slow on purpose."""
