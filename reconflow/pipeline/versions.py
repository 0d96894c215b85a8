"""The versions a run was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "reconflow", "pycolmap", "opencv-python-headless", "faiss-cpu", "numpy", "scipy",
    "dask", "distributed", "zarr", "open3d-cpu", "open3d", "torch",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that takes part in a result, where it is installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
