"""Transformer blocks; attributes are named as the tensors of the checkpoint are."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from reconflow.nets.mast3r.rotary import Rotary

HEAD_WIDTH = 64
_NORM_EPS = 1e-6


def layer_norm(width: int) -> nn.LayerNorm:
    """Return the layer norm used throughout."""
    return nn.LayerNorm(width, eps=_NORM_EPS)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int, out: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, width) to (…, out)."""
        return self.fc2(functional.gelu(self.fc1(x)))


class SelfAttention(nn.Module):
    """Attention among the tokens of one photo."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        """Map (B, T, width) to the same shape."""
        queries, keys, values = (_heads(part) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(_attend(rotary(queries), rotary(keys), values))


class CrossAttention(nn.Module):
    """Attention of one photo's tokens to the other's."""

    def __init__(self, width: int):
        super().__init__()
        self.projq = nn.Linear(width, width)
        self.projk = nn.Linear(width, width)
        self.projv = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, y: Tensor, rotary: Rotary, rotary_other: Rotary) -> Tensor:
        """Map (B, T, width) to the same shape, looking at ``y``, (B, T', width)."""
        queries, keys = rotary(_heads(self.projq(x))), rotary_other(_heads(self.projk(y)))
        return self.proj(_attend(queries, keys, _heads(self.projv(y))))


class EncoderBlock(nn.Module):
    """Self-attention and MLP, each after a norm and added to what came in."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = SelfAttention(width)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width, hidden, width)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        """Map (B, T, width) to the same shape."""
        x = x + self.attn(self.norm1(x), rotary)
        return x + self.mlp(self.norm2(x))


class DecoderBlock(nn.Module):
    """An encoder block with attention to the other photo in between."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = SelfAttention(width)
        self.norm2 = layer_norm(width)
        self.norm_y = layer_norm(width)
        self.cross_attn = CrossAttention(width)
        self.norm3 = layer_norm(width)
        self.mlp = Mlp(width, hidden, width)

    def forward(self, x: Tensor, y: Tensor, rotary: Rotary, rotary_other: Rotary) -> Tensor:
        """Map (B, T, width) to the same shape, looking at ``y``, (B, T', width)."""
        x = x + self.attn(self.norm1(x), rotary)
        x = x + self.cross_attn(self.norm2(x), self.norm_y(y), rotary, rotary_other)
        return x + self.mlp(self.norm3(x))


def _heads(x: Tensor) -> Tensor:
    """Split (B, T, width) into (B, heads, T, 64)."""
    return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    attended: Tensor = functional.scaled_dot_product_attention(queries, keys, values)
    return torch.flatten(attended.transpose(1, 2), 2)
