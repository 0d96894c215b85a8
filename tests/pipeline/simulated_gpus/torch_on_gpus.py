"""Preloaded by workers with simulated GPUs: torch sees what they offer, and networks run on the CPU all the same."""

from reconflow.pipeline import worker


def dask_setup(_):
    """Act where Dask preloads this, and nowhere else: pytest imports every module on its way, for doctests."""
    worker.on_gpu = lambda *, offered: offered
