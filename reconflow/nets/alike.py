"""The coarse pass for learned descriptors: how many of the surest keypoints of two photos look alike."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from reconflow.core.features import Features
from reconflow.core.pairs import Pair
from reconflow.nets.devices import on_device, spares_memory, torch_device


@spares_memory
def alike_counts(features: Sequence[Features], pairs: Sequence[Pair], *, count: int, least: float) -> list[int]:
    """Count for each pair the mutual nearest neighbours whose descriptors have a dot product of at least ``least``.

    Only the ``count`` keypoints of each photo with the highest scores take part. This runs on the networks' device,
    since a GPU would wait for it otherwise.

    Parameters
    ----------
    features : sequence of Features
        With unit descriptors.
    pairs : sequence of (int, int)
        Indices into ``features``.
    count : int
        Keypoints of each photo.
    least : float
        Dot product.

    """
    if not pairs:
        return []
    device = torch_device()
    with torch.inference_mode():
        surest: Mapping[int, Tensor] = {
            i: on_device(_surest(features[i], count), device).float() for i in {i for pair in pairs for i in pair}
        }
        return torch.stack([_count(surest[i], surest[j], least) for i, j in pairs]).tolist()


def _surest(features: Features, count: int) -> np.ndarray:
    return features.descriptors[np.argsort(-features.scores, kind="stable")[:count]]


def _count(a: Tensor, b: Tensor, least: float) -> Tensor:
    if len(a) == 0 or len(b) == 0:
        return torch.zeros((), dtype=torch.int64, device=a.device)
    likeness = a @ b.T
    best, back = likeness.max(dim=1), likeness.argmax(dim=0)
    mutual = back[best.indices] == torch.arange(len(a), device=a.device)
    return (mutual & (best.values >= least)).sum()
