"""What the body of a task finds in its worker: extractors that are made once, and the device that networks run on."""

import functools

from reconflow.config import ExecutionConfig
from reconflow.errors import DependencyError
from reconflow.nets.protocols import Extractor
from reconflow.nets.registry import create_extractor
from reconflow.pipeline.cluster import available_cores
from reconflow.pipeline.gpus import gpus_in_machine, torch_lacks
from reconflow.pipeline.run_context import RunContext

_BESIDE_UNCOUNTED_GPUS = 4


@functools.cache
def extractor(name: str) -> Extractor:
    """Return this process's extractor of the name: models are loaded once per worker, never sent to it."""
    return create_extractor(name)


def bound_memory(context: RunContext, *, needed: bool) -> None:
    """Hold this process to its share of a GPU's memory before a network runs in it."""
    if needed:
        from reconflow.nets.devices import bound_gpu_memory  # torch: only where a network runs

        bound_gpu_memory(context.config.execution.gpu_memory_fraction)


def on_gpu(*, offered: bool) -> bool:
    """Tell whether networks of this process run on a GPU; ``offered`` is whether its worker offers one.

    Raises
    ------
    DependencyError
        If torch cannot use the one that is offered: on a core the run would take days, and nobody would know why.

    """
    from reconflow.nets.devices import torch_device, trouble_with_cuda  # torch: only where a network runs

    if offered and (trouble := trouble_with_cuda()):
        raise DependencyError(f"a worker offers a GPU that torch cannot use there: {torch_lacks() or trouble}")
    return torch_device().type == "cuda"


def threads_beside_gpu(config: ExecutionConfig, *, gpu: bool) -> int:
    """Return how many threads work beside the GPU of this process; none where it has none.

    Unless settings say so, they are its share of the machine's cores, which the workers for cores leave alone while
    networks match.
    """
    if not gpu:
        return 0
    if config.threads_beside_gpu:
        return config.threads_beside_gpu
    gpus = gpus_in_machine()
    return max(1, available_cores() // gpus) if gpus else _BESIDE_UNCOUNTED_GPUS
