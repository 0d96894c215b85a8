"""The coarse pass for learned descriptors: how many of the strongest keypoints of two photos look alike."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from reconflow.core.features import Features
from reconflow.core.pairs import Pair
from reconflow.nets.devices import on_device, spares_memory, torch_device


@spares_memory
def alike_counts(features: Sequence[Features], pairs: Sequence[Pair], *, count: int, least: float) -> list[int]:
    """Count for each pair of indices into ``features`` the mutual nearest neighbours of a dot product of ``least``.

    Only the ``count`` keypoints of each photo that the network is surest of take part. It runs where networks run: on
    cores it would keep a GPU waiting.
    """
    if not pairs:
        return []
    device = torch_device()
    with torch.inference_mode():
        strongest: Mapping[int, Tensor] = {
            i: on_device(_strongest(features[i], count), device).float() for i in {i for pair in pairs for i in pair}
        }
        return torch.stack([_count(strongest[i], strongest[j], least) for i, j in pairs]).tolist()


def _strongest(features: Features, count: int) -> np.ndarray:
    return features.descriptors[np.argsort(-features.scores, kind="stable")[:count]]


def _count(a: Tensor, b: Tensor, least: float) -> Tensor:
    if len(a) == 0 or len(b) == 0:
        return torch.zeros((), dtype=torch.int64, device=a.device)
    likeness = a @ b.T
    best, back = likeness.max(dim=1), likeness.argmax(dim=0)
    mutual = back[best.indices] == torch.arange(len(a), device=a.device)
    return (mutual & (best.values >= least)).sum()
