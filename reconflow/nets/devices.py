"""Where networks run, how exactly, and which of them stay loaded."""

import contextlib
import functools
import logging
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from reconflow.config import Precision
from reconflow.core.arrays import Array
from reconflow.nets.residence import Residence

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_MOST_ON_A_GPU = 2


class _Choice(threading.local):
    on_cpu = False


_CHOICE = _Choice()


def torch_device() -> torch.device:
    """Return the current CUDA device where there is one (each Dask worker sees its own first), else the CPU."""
    if not torch.cuda.is_available() or _CHOICE.on_cpu:
        return torch.device("cpu")
    _multiply_exactly()
    return torch.device("cuda")


@functools.cache
def _multiply_exactly() -> None:
    """Have float32 mean float32 on a GPU, in products and convolutions.

    By itself cuDNN convolves in TF32, of three digits, and others may have asked for it in products. Less precision
    is a setting here, and networks then take bfloat16. What stays in float32 needs it: with TF32, 39 to 99 % of the
    look-ups of nearest neighbours in a smooth field of descriptors go astray.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def cuda_of_torch() -> str:
    """Return the version of CUDA that torch was built for, such as ``13.0``; empty where it is for CPUs only."""
    return torch.version.cuda or ""


def trouble_with_cuda() -> str:
    """Start CUDA in this process and return what keeps it from starting; empty where it runs.

    ``torch.cuda.is_available`` only counts GPUs on a Dask worker, and does so whatever torch and their driver can do.
    """
    try:
        torch.cuda.init()
    except (AssertionError, RuntimeError) as error:  # of a torch for CPUs only, and of CUDA
        return str(error).partition("\n")[0]
    return ""


def spares_memory(call: Callable[P, T]) -> Callable[P, T]:
    """Make a call on one photo survive a device whose memory runs out.

    It is tried once more with all models but its own off the device, and then on the CPU: slower, but no photo is lost.
    """

    @functools.wraps(call)
    def spared(*args: P.args, **kwargs: P.kwargs) -> T:
        with contextlib.suppress(torch.OutOfMemoryError):
            return call(*args, **kwargs)
        logger.warning("memory of the device ran out: once more without other models")
        models().clear()
        with contextlib.suppress(torch.OutOfMemoryError):
            return call(*args, **kwargs)
        logger.warning("memory of the device ran out: once more on the CPU")
        models().clear()
        _CHOICE.on_cpu = True
        try:
            return call(*args, **kwargs)
        finally:
            _CHOICE.on_cpu = False

    return spared


def on_device(array: Array, device: torch.device) -> Tensor:
    """Return an array on a device; on its way to a GPU the caller goes on meanwhile."""
    if device.type != "cuda":
        return torch.from_numpy(np.array(array)).to(device)
    source = torch.from_numpy(np.zeros(0, array.dtype))
    pinned = torch.empty(
        array.shape, dtype=source.dtype, pin_memory=True
    )  # only from such memory a copy can be left alone
    pinned.numpy()[...] = array
    return pinned.to(device, non_blocking=True)


def bound_gpu_memory(fraction: float) -> None:
    """Let this process take at most a fraction of its GPU's memory; more is ``torch.OutOfMemoryError``, as ever."""
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(fraction)


def multiplies_in_bfloat16() -> bool:
    """Tell whether the current CUDA device multiplies in bfloat16 by itself, which those before Ampere only imitate."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which matrix products run at a precision.

    ``auto`` is float32 on a CPU, and on a GPU bfloat16, or float16 where it has no bfloat16.
    """
    wanted = precision
    if wanted == "auto":
        wanted = "fp32" if device.type != "cuda" else "bf16" if multiplies_in_bfloat16() else "fp16"
    return torch.autocast(device.type, dtype=_DTYPES.get(wanted, torch.bfloat16), enabled=wanted in _DTYPES)


@functools.cache
def models() -> Residence:
    """Return what keeps this process's networks: all of them on a CPU, the two used last on a GPU."""
    return Residence(most=_MOST_ON_A_GPU if torch.cuda.is_available() else None)
