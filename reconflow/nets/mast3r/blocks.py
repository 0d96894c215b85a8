"""Transformer blocks; attributes are named as the tensors of the checkpoint are."""

from torch import Tensor, nn

from reconflow.nets.mast3r.rotary import Rotary
from reconflow.nets.transformer import Mlp, SelfAttention, attended, layer_norm, split_heads


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
        queries, keys = rotary(split_heads(self.projq(x))), rotary_other(split_heads(self.projk(y)))
        return self.proj(attended(queries, keys, split_heads(self.projv(y))))


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
