"""Open3D, loaded when it is needed: it takes a second, and needs system libraries that may be missing."""

from typing import Any

from reconflow.errors import DependencyError

SYSTEM_LIBRARIES = "apt-get install libusb-1.0-0 libgl1 libegl1 libx11-6 libidn2-0 libgomp1"


def load_open3d() -> Any:
    """Return the module ``open3d``.

    Raises
    ------
    DependencyError
        If it cannot be loaded; the message says what to install.

    """
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise DependencyError(f"Open3D cannot be loaded ({error}); on Debian or Ubuntu: {SYSTEM_LIBRARIES}") from error
    return open3d
