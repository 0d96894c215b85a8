"""Where networks run."""

import torch


def torch_device() -> torch.device:
    """Return the current CUDA device where there is one (each Dask worker sees its own first), else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
