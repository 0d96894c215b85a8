"""GPUs of this machine: which of them are ours, and what they are called.

They go by their names in ``CUDA_VISIBLE_DEVICES``, numbers or UUIDs, which batch systems and containers set.
"""

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Literal, TypeVar

from reconflow.errors import ClusterError, DependencyError

logger = logging.getLogger(__name__)

T = TypeVar("T")

VISIBLE = "CUDA_VISIBLE_DEVICES"
NO_GPU = {VISIBLE: ""}
"""Environment of a process that keeps to the CPU whatever it runs."""

_MIG = "MIG-"
_UUIDS = ("GPU-", _MIG)
_AMPERE = 8
"""First compute capability with bfloat16."""
HOW_TO_USE_GPUS = "`pip install 'reconflow[cuda13]'`, or cuda12, gives each GPU a worker of its own"
"""What to do where dask-cuda is not installed."""
_HOW_TO_GET_TORCH = "https://pytorch.org/get-started/locally has the command"


def visible_gpus() -> tuple[str, ...]:
    """Name the GPUs this process may use; none where dask-cuda is not installed or there is no driver."""
    return listed(os.environ.get(VISIBLE), gpus_in_machine() or 0)


def chosen_gpus(wanted: Literal["auto"] | int) -> tuple[str, ...]:
    """Name so many of the GPUs this process may use; ``auto`` takes all, or none where torch can use none.

    Where nothing can count them, because dask-cuda is not installed, they are taken to be there.

    Raises
    ------
    ClusterError
        If there are fewer.
    DependencyError
        If so many are wanted and torch can use none.

    """
    if wanted == "auto":
        found = visible_gpus()
        if found and (lack := torch_lacks()):
            logger.warning("GPUs are here, and stay unused: %s", lack)
            return ()
        return found
    count = gpus_in_machine() if wanted else 0
    if count is None:
        have = listed(os.environ.get(VISIBLE, ",".join(map(str, range(wanted)))), sys.maxsize)
    else:
        have = listed(os.environ.get(VISIBLE), count)
    if len(have) < wanted:
        here = {0: "none is", 1: "1 is"}.get(len(have), f"{len(have)} are")
        asked = "1 GPU is" if wanted == 1 else f"{wanted} GPUs are"
        raise ClusterError(f"{asked} wanted and {here} here: ask for fewer, or look at {VISIBLE}")
    if count and (lack := torch_lacks()):
        raise DependencyError(f"networks cannot run on the GPUs here: {lack}")
    return have[:wanted]


def listed(visible: str | None, count: int) -> tuple[str, ...]:
    """Name the GPUs that CUDA lets a process use on a machine that has ``count``.

    As CUDA reads the list, it ends before the first entry that is no GPU.

    >>> listed(None, 2), listed("2,3", 4), listed("", 4), listed("1,-1,0", 4), listed("0,MIG-8f6b", 1)
    (('0', '1'), ('2', '3'), (), ('1',), ('0', 'MIG-8f6b'))
    """
    if visible is None:
        return tuple(str(number) for number in range(count))
    entries = (entry.strip() for entry in visible.split(","))
    return tuple(takewhile(lambda entry: count > 0 and _is_gpu(entry, count), entries))


def device_here(*, offers_gpu: bool) -> str:
    """Return what networks of this process run on: ``cpu``, or ``NVIDIA A100 (40.0 GB)``."""
    names = visible_gpus()
    if not names:
        return "GPU" if offers_gpu else "cpu"
    return _asked(lambda driver: _described(driver, names[0])) or "GPU"


def has_bfloat16() -> bool:
    """Tell whether the GPU of this process multiplies in bfloat16 by itself, which those before Ampere only imitate.

    The driver knows without CUDA being started; torch is asked where nothing can ask the driver.
    """
    names = visible_gpus()
    if names and names[0].startswith(_MIG):
        return True  # only GPUs of Ampere and later can be divided
    generation = _asked(lambda driver: _generation(driver, names[0])) if names else None
    if generation is not None:
        return generation >= _AMPERE
    from reconflow.nets.devices import multiplies_in_bfloat16  # torch takes seconds to load

    return multiplies_in_bfloat16()


def gpus_in_machine() -> int | None:
    """Return how many GPUs there are, ours or not; None where dask-cuda is not installed, which brings what asks."""
    if not _has_dask_cuda():
        return None
    return _asked(lambda driver: int(driver.nvmlDeviceGetCount())) or 0


def torch_lacks() -> str:
    """Return what keeps torch from using GPUs here, and what to install; empty where it should see them.

    CUDA is not started for it: torch tells which CUDA it was built for, and the driver which one it knows.
    """
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed; `pip install 'reconflow[learned]'`"
    from reconflow.nets.devices import cuda_of_torch  # torch takes seconds to load

    built_for = cuda_of_torch()
    if not built_for:
        return f"the torch installed is for CPUs only; install one for CUDA ({_HOW_TO_GET_TORCH})"
    known = _asked(lambda driver: int(driver.nvmlSystemGetCudaDriverVersion())) if _has_dask_cuda() else None
    if known is not None and known // 1000 < int(built_for.partition(".")[0]):
        own = f"{known // 1000}.{known % 1000 // 10}"
        return (
            f"the torch installed is for CUDA {built_for}, and the driver of the GPUs knows {own}; "
            f"update the driver, or install a torch for CUDA {known // 1000} ({_HOW_TO_GET_TORCH})"
        )
    return ""


def unused_gpu() -> str:
    """Return how to use a GPU that torch sees here and no worker would; empty where that is not so."""
    if _has_dask_cuda() or importlib.util.find_spec("torch") is None:
        return ""
    from reconflow.nets.devices import torch_device  # torch takes seconds to load

    return f"torch sees a GPU that workers leave alone: {HOW_TO_USE_GPUS}" if torch_device().type == "cuda" else ""


def _is_gpu(entry: str, count: int) -> bool:
    return entry.startswith(_UUIDS) or (entry.isdigit() and int(entry) < count)


def _described(driver: Any, name: str) -> str:
    handle = _handle(driver, name)
    gigabytes = driver.nvmlDeviceGetMemoryInfo(handle).total / (1 << 30)
    return f"{driver.nvmlDeviceGetName(handle)} ({gigabytes:.1f} GB)"


def _generation(driver: Any, name: str) -> int:
    return int(driver.nvmlDeviceGetCudaComputeCapability(_handle(driver, name))[0])


def _handle(driver: Any, name: str) -> Any:
    by_number, by_uuid = driver.nvmlDeviceGetHandleByIndex, driver.nvmlDeviceGetHandleByUUID
    return by_number(int(name)) if name.isdigit() else by_uuid(name.encode())


def _asked(question: Callable[[Any], T]) -> T | None:
    """Return the driver's answer; None where there is no driver, or it does not know."""
    import pynvml  # pyright: ignore[reportMissingImports] - comes with dask-cuda

    try:
        pynvml.nvmlInit()
        return question(pynvml)
    except pynvml.NVMLError as error:
        logger.info("dask-cuda is installed, but the driver of the GPUs does not answer: %s", error)
        return None


def _has_dask_cuda() -> bool:
    try:
        importlib.import_module("dask_cuda")  # without one of its extras it is installed, but does not load
    except ImportError:
        return False
    return True
