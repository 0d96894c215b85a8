"""The network: encoder, two decoders, two descriptor heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from reconflow.errors import WeightsError
from reconflow.nets.mast3r.blocks import DecoderBlock, EncoderBlock
from reconflow.nets.mast3r.rotary import Rotary
from reconflow.nets.transformer import HEAD_WIDTH, Mlp, PatchEmbedding, block_count, layer_norm

PATCH = 16
"""Pixels along each edge of a token."""

Grid = tuple[int, int]
"""Rows and columns of tokens."""


class DenseView(NamedTuple):
    """What the network says of each pixel of one photo of a pair."""

    descriptors: Tensor
    """(B, H, W, D) unit vectors."""
    confidence: Tensor
    """(B, H, W), positive."""


@dataclass(frozen=True)
class Sizes:
    """Widths and depths, read off the tensors of a checkpoint."""

    encoder_width: int
    encoder_depth: int
    encoder_hidden: int
    decoder_width: int
    decoder_depth: int
    decoder_hidden: int
    head_hidden: int
    head_out: int

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Sizes":
        """Return the sizes of a checkpoint from the shapes of its tensors.

        Raises
        ------
        WeightsError
            If a tensor that tells a size is missing; it names it.

        """

        def shape(name: str) -> tuple[int, ...]:
            if name not in shapes:
                raise WeightsError(f"the MASt3R weights have no tensor {name}: the file is damaged or of another model")
            return tuple(shapes[name])

        encoder_hidden, encoder_width = shape("enc_blocks.0.mlp.fc1.weight")
        decoder_hidden, decoder_width = shape("dec_blocks.0.mlp.fc1.weight")
        return cls(
            encoder_width=encoder_width,
            encoder_depth=block_count(shapes, "enc_blocks"),
            encoder_hidden=encoder_hidden,
            decoder_width=decoder_width,
            decoder_depth=block_count(shapes, "dec_blocks"),
            decoder_hidden=decoder_hidden,
            head_hidden=shape("downstream_head1.head_local_features.fc1.weight")[0],
            head_out=shape("downstream_head1.head_local_features.fc2.weight")[0],
        )


class DescriptorHead(nn.Module):
    """Tokens → a descriptor and a confidence for each pixel of their patches."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sizes.encoder_width + sizes.decoder_width
        self.head_local_features = Mlp(width, sizes.head_hidden, sizes.head_out)

    def forward(self, encoded: Tensor, decoded: Tensor, grid: Grid) -> DenseView:
        """Map (B, T, ·) encoder and decoder tokens to what they say of (16 rows, 16 columns) pixels."""
        # In float32 whatever the blocks are in: descriptors of different pixels differ in the third digit.
        with torch.autocast(encoded.device.type, enabled=False):
            channels = self.head_local_features(torch.cat([encoded.float(), decoded.float()], dim=-1))
        dense = functional.pixel_shuffle(channels.transpose(1, 2).unflatten(2, grid), PATCH)
        descriptors, confidence = dense.permute(0, 2, 3, 1).split([dense.shape[1] - 1, 1], dim=-1)
        return DenseView(functional.normalize(descriptors, dim=-1), confidence[..., 0].exp())


class Mast3r(nn.Module):
    """MASt3R without its point heads; attributes are named as the tensors of the checkpoint are.

    What blocks add to a token is summed in float32 whatever they multiply in: float16 ends at 65 504, and bfloat16
    has three digits.
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.patch_embed = PatchEmbedding(sizes.encoder_width, PATCH)
        self.enc_blocks = nn.ModuleList(
            EncoderBlock(sizes.encoder_width, sizes.encoder_hidden) for _ in range(sizes.encoder_depth)
        )
        self.enc_norm = layer_norm(sizes.encoder_width)
        self.decoder_embed = nn.Linear(sizes.encoder_width, sizes.decoder_width)
        self.dec_blocks = _decoder(sizes)
        self.dec_blocks2 = _decoder(sizes)
        self.dec_norm = layer_norm(sizes.decoder_width)
        self.downstream_head1 = DescriptorHead(sizes)
        self.downstream_head2 = DescriptorHead(sizes)

    def encode(self, images: Tensor) -> Tensor:
        """Return the (B, T, width) tokens of (B, 3, H, W) images of values from −1 to 1; H and W multiples of 16."""
        height, width = images.shape[-2:]
        if height % PATCH or width % PATCH:
            raise ValueError(f"images must be multiples of {PATCH} high and wide, got {height} × {width}")
        rotary = self._rotary((height // PATCH, width // PATCH), images.device)
        x = self.patch_embed(images).float()
        for block in self.enc_blocks:
            x = block(x, rotary)
        return self.enc_norm(x)

    def decode(self, first: Tensor, second: Tensor, *, grids: tuple[Grid, Grid]) -> tuple[DenseView, DenseView]:
        """Return the dense views of both photos of a batch of pairs.

        Parameters
        ----------
        first, second : Tensor
            (B, T₁, width) and (B, T₂, width) encoder tokens. The decoders are no twins: exchanging the photos gives
            other, equally good descriptors.
        grids : tuple
            Token grids of the first and of the second photos.

        """
        rotary1, rotary2 = (self._rotary(grid, first.device) for grid in grids)
        state1, state2 = self.decoder_embed(first).float(), self.decoder_embed(second).float()
        for block1, block2 in zip(self.dec_blocks, self.dec_blocks2, strict=True):
            # Both read the states of the layer before.
            state1, state2 = block1(state1, state2, rotary1, rotary2), block2(state2, state1, rotary2, rotary1)
        return (
            self.downstream_head1(first, self.dec_norm(state1), grids[0]),
            self.downstream_head2(second, self.dec_norm(state2), grids[1]),
        )

    def _rotary(self, grid: Grid, device: torch.device) -> Rotary:
        return Rotary(grid, head_width=HEAD_WIDTH, device=device)


def _decoder(sizes: Sizes) -> nn.ModuleList:
    return nn.ModuleList(DecoderBlock(sizes.decoder_width, sizes.decoder_hidden) for _ in range(sizes.decoder_depth))
