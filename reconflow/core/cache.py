"""Where reconflow keeps what it can fetch again: one folder for each user of a machine."""

import os
from pathlib import Path


def user_cache() -> Path:
    """Return ``RECONFLOW_CACHE``, or reconflow's part of the user's cache folder; it need not exist."""
    own = os.environ.get("RECONFLOW_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reconflow"
