"""Where networks run."""

import functools

import torch

from reconflow.nets.residence import Residence

_MOST_ON_A_GPU = 2


def torch_device() -> torch.device:
    """Return the current CUDA device where there is one (each Dask worker sees its own first), else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@functools.cache
def models() -> Residence:
    """Return this process's loaded models: on a GPU an extractor and a matcher, on the CPU all that were used."""
    return Residence(_MOST_ON_A_GPU if torch.cuda.is_available() else None)
