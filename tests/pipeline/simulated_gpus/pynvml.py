"""The driver of a machine with as many GPUs as ``SIMULATED_GPUS`` says; without it there is no driver.

Workers of Dask ask it too.
"""

import os
from types import SimpleNamespace


class NVMLError(Exception):
    pass


class NVMLError_DriverNotLoaded(NVMLError):  # noqa: N801, N818 - the driver's names
    pass


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801, N818
    pass


class NVMLError_Unknown(NVMLError):  # noqa: N801, N818
    pass


def nvmlInit():
    if "SIMULATED_GPUS" not in os.environ:
        raise NVMLError_DriverNotLoaded


def nvmlSystemGetCudaDriverVersion():
    return 13000


def nvmlDeviceGetCount():
    return int(os.environ["SIMULATED_GPUS"])


def nvmlDeviceGetHandleByIndex(index):
    if index >= nvmlDeviceGetCount():
        raise NVMLError("Invalid Argument")
    return f"GPU-{index}"


def nvmlDeviceGetHandleByUUID(uuid):
    return uuid.decode()


def nvmlDeviceGetName(handle):
    return f"Simulated {handle}"


def nvmlDeviceGetCudaComputeCapability(handle):
    """A GPU is of the generation at its place in ``SIMULATED_GENERATIONS``; of Ampere where there is none."""
    generations = os.environ.get("SIMULATED_GENERATIONS", "").split()
    number = int(handle.rpartition("-")[2])
    return (int(generations[number]) if number < len(generations) else 8, 0)


def nvmlDeviceGetMemoryInfo(handle):
    return SimpleNamespace(total=(1 + int(handle.rpartition("-")[2])) << 30, used=0)


def nvmlDeviceGetUtilizationRates(handle):
    return SimpleNamespace(gpu=0)
