"""Rotary embedding of token places in two dimensions.

Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, applied per axis: the first half of
a head's channels turns with the row, the second half with the column.
"""

import torch
from torch import Tensor

_BASE = 100.0


class Rotary:
    """Angles of one token grid: cosines and sines of (T, head width), ready for queries and keys."""

    def __init__(self, grid: tuple[int, int], *, head_width: int, device: torch.device):
        rows, columns = grid
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        quarter = head_width // 4
        speeds = _BASE ** -(torch.arange(quarter) / quarter)
        angles = torch.cat([_doubled(place.reshape(-1, 1) * speeds) for place in (row, column)], dim=1)
        self.cosines = angles.cos().to(device)
        self.sines = angles.sin().to(device)

    def __call__(self, heads: Tensor) -> Tensor:
        """Turn (B, H, T, head width) queries or keys by the places of their tokens."""
        # In float32, whatever the heads are in: bfloat16 has three digits, too few for an angle.
        turned = heads * self.cosines + _quarter_turn(heads) * self.sines
        return turned.to(heads.dtype)


def _doubled(angles: Tensor) -> Tensor:
    return torch.cat([angles, angles], dim=1)


def _quarter_turn(heads: Tensor) -> Tensor:
    """Swap the two quarters of each half, negating the one that comes first."""
    a, b, c, d = heads.chunk(4, dim=-1)
    return torch.cat([-b, a, -d, c], dim=-1)
