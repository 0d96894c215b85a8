"""What the body of a task finds in its worker: extractors that are made once, and the device that networks run on."""

import functools

from reconflow.nets.protocols import Extractor
from reconflow.nets.registry import create_extractor
from reconflow.pipeline.run_context import RunContext


@functools.cache
def extractor(name: str) -> Extractor:
    """Return this process's extractor of the name: models are loaded once per worker, never sent to it."""
    return create_extractor(name)


def bound_memory(context: RunContext, *, needed: bool) -> None:
    """Hold this process to its share of a GPU's memory before a network runs in it."""
    if needed:
        from reconflow.nets.devices import bound_gpu_memory  # torch: only where a network runs

        bound_gpu_memory(context.config.execution.gpu_memory_fraction)


def sees_gpu() -> bool:
    """Tell whether networks of this process run on a GPU."""
    from reconflow.nets.devices import torch_device  # torch: only where a network runs

    return torch_device().type == "cuda"
