"""The coarse pass for learned descriptors: how many of two photos look alike."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from reconflow.core.arrays import Array
from reconflow.core.pairs import Pair
from reconflow.nets.devices import on_device, spares_memory, torch_device


@spares_memory
def alike_counts(descriptors: Mapping[int, Array], pairs: Sequence[Pair], *, least: float) -> list[int]:
    """Count for each pair the mutual nearest neighbours whose descriptors have a dot product of at least ``least``.

    This runs on the networks' device, since a GPU would wait for it otherwise.

    Parameters
    ----------
    descriptors : mapping of int to Array
        (N, D) float32 unit vectors of each photo.
    pairs : sequence of (int, int)
        Keys of ``descriptors``.
    least : float
        Dot product.

    """
    if not pairs:
        return []
    device = torch_device()
    with torch.inference_mode():
        there = {photo: on_device(own, device) for photo, own in descriptors.items()}
        return torch.stack([_count(there[i], there[j], least) for i, j in pairs]).tolist()


def _count(a: Tensor, b: Tensor, least: float) -> Tensor:
    if len(a) == 0 or len(b) == 0:
        return torch.zeros((), dtype=torch.int64, device=a.device)
    likeness = a @ b.T
    best, back = likeness.max(dim=1), likeness.argmax(dim=0)
    mutual = back[best.indices] == torch.arange(len(a), device=a.device)
    return (mutual & (best.values >= least)).sum()
