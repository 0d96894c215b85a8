"""Parts of vision transformers; attributes are named as the tensors of checkpoints are."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 64
_NORM_EPS = 1e-6


def layer_norm(width: int) -> nn.LayerNorm:
    """Return the layer norm used throughout."""
    return nn.LayerNorm(width, eps=_NORM_EPS)


class PatchEmbedding(nn.Module):
    """Pixels → tokens."""

    def __init__(self, width: int, patch_px: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_px, stride=patch_px)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, T, width), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, width) to (…, out)."""
        return self.fc2(functional.gelu(self.fc1(x)))


def _as_they_are(heads: Tensor) -> Tensor:
    return heads


class SelfAttention(nn.Module):
    """Attention among the tokens of one photo."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rotary: Callable[[Tensor], Tensor] = _as_they_are) -> Tensor:
        """Map (B, T, width) to the same shape; ``rotary`` turns queries and keys by the places of their tokens."""
        queries, keys, values = (split_heads(part) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(attended(rotary(queries), rotary(keys), values))


def split_heads(x: Tensor) -> Tensor:
    """Split (B, T, width) into (B, heads, T, 64)."""
    return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)


def attended(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return the (B, T, width) values, weighed by how queries agree with keys; all of them by head."""
    found: Tensor = functional.scaled_dot_product_attention(queries, keys, values)
    return torch.flatten(found.transpose(1, 2), 2)


def block_count(names: Iterable[str], blocks: str) -> int:
    """Count blocks by their numbers; a gap shows as a missing tensor when the module is filled."""
    numbers = {int(name.split(".")[1]) for name in names if name.startswith(f"{blocks}.")}
    return max(numbers, default=-1) + 1
