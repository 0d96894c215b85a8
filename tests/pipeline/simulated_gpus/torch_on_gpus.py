"""Preloaded by workers with simulated GPUs: torch sees what they offer, and networks run on the CPU all the same."""

from reconflow.pipeline import worker

worker.on_gpu = lambda *, offered: offered
