"""DINOv2: photos → tokens that say what is to be seen, for retrieval.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023: a plain vision transformer with
learned places and scaled residuals. Its tokens, pooled, tell places apart better than its class token does (Keetha et
al., "AnyLoc: Towards Universal Visual Place Recognition", 2023), so those are what is kept. A forward of our own over
the authors' file, whose names the attributes have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reconflow.config import Precision
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.errors import WeightsError
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import Tensors, fill_module, load_tensors
from reconflow.nets.devices import autocast, models, on_device, spares_memory, torch_device
from reconflow.nets.encoding import encode_in_batches
from reconflow.nets.transformer import Mlp, PatchEmbedding, SelfAttention, block_count, layer_norm
from reconflow.nets.weights import obtain_weights, sha256_of

PATCH = 14
"""Pixels along each edge of a token."""
LONG_EDGE_PX = 336
"""24 × 18 tokens of a photo of 4 : 3: enough to tell places apart, a quarter of the time that 672 take."""
SKIPPED = ("mask_token",)
"""What hid patches in training."""

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in the photos the network was trained on."""
_OVERHANG = 0.1
"""Tokens by which the authors enlarge a grid when they resample the places to it, and so trained the network."""


class _Scale(nn.Module):
    """Each channel times a learned factor."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    """Self-attention and MLP, each after a norm, scaled, and added to what came in."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = SelfAttention(width)
        self.ls1 = _Scale(width)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width, hidden, width)
        self.ls2 = _Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Dinov2(nn.Module):
    """The network, its class token included, because all others look at it."""

    def __init__(self, *, width: int, hidden: int, depth: int, places: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, places, width))
        self.patch_embed = PatchEmbedding(width, PATCH)
        self.blocks = nn.ModuleList(_Block(width, hidden) for _ in range(depth))
        self.norm = layer_norm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Return the (B, T, width) tokens of (B, 3, H, W) normalised images; H and W multiples of 14."""
        height, width = images.shape[-2:]
        if height % PATCH or width % PATCH:
            raise ValueError(f"images must be multiples of {PATCH} high and wide, got {height} × {width}")
        tokens = self.patch_embed(images) + self._places((height // PATCH, width // PATCH))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        x = torch.cat([first, tokens], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 1:]

    def _places(self, grid: tuple[int, int]) -> Tensor:
        """Return the (1, T, width) places of a grid, resampled from the square one of the training."""
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        if grid == (side, side):
            return self.pos_embed[:, 1:]
        square = self.pos_embed[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        scale = [(count + _OVERHANG) / side for count in grid]
        return functional.interpolate(square, scale_factor=scale, mode="bicubic").flatten(2).transpose(1, 2)


def build_dinov2(tensors: Tensors, *, path: Path) -> Dinov2:
    """Return the network of tensors by name; depth and widths are read off them.

    Raises
    ------
    WeightsError
        Naming a tensor that is missing, unknown, or of another shape.

    """
    for name in ("pos_embed", "blocks.0.mlp.fc1.weight"):
        if name not in tensors:
            raise WeightsError(f"{path} has no {name}: it is not the file this model needs")
    hidden, width = tensors["blocks.0.mlp.fc1.weight"].shape
    with torch.device("meta"):
        network = Dinov2(
            width=width, hidden=hidden, depth=block_count(tensors, "blocks"), places=tensors["pos_embed"].shape[1]
        )
    fill_module(network, tensors, path=path, skipped=SKIPPED)
    return network


@dataclass(frozen=True)
class Dinov2Encoder:
    """DINOv2 on the device at hand; the network is loaded by the first photo.

    Parameters
    ----------
    name : str
        The registry's name, and that of its weights, such as ``dinov2-vitb14``.
    file : Path, optional
        A checkpoint to use instead of the official one.
    precision : str
        Of matrix products.
    long_edge_px : int
        Of the raster.
    batch : int
        Photos of one token grid encoded together, at first; fewer once memory ran out.

    """

    name: str
    file: Path | None = None
    precision: Precision = "auto"
    long_edge_px: int = LONG_EDGE_PX
    batch: int = 16

    @property
    def made_with(self) -> str:
        """Revision, library, the checkpoint by its hash, and what decides the tokens."""
        weights = sha256_of(self._path())[:16]
        return f"dinov2 1, torch {version('torch')}, weights {weights}, {self.precision}, {self.long_edge_px} px"

    @spares_memory
    def encode(self, images: Sequence[Array]) -> list[Encoding]:
        """Return the encodings of (H, W, 3) uint8 RGB photos, which may differ in size."""
        return encode_in_batches(
            images,
            self._tokens,
            long_edge_px=self.long_edge_px,
            patch_px=PATCH,
            model=(self.name, self.file, torch_device().type),
            batch=self.batch,
        )

    def _tokens(self, rasters: Sequence[Array]) -> list[Array]:
        device, path = torch_device(), self._path()
        network = models().get(
            ("dinov2", path, device.type), lambda: build_dinov2(load_tensors(path), path=path).to(device)
        )
        mean, spread = (torch.tensor(one, device=device).view(3, 1, 1) for one in (_MEAN, _SPREAD))
        with torch.inference_mode(), autocast(device, self.precision):
            pixels = on_device(np.stack(rasters), device).permute(0, 3, 1, 2)
            tokens = network((pixels.float() / 255 - mean) / spread)
            return list(tokens.to(torch.float16).cpu().numpy())

    def _path(self) -> Path:
        return self.file or obtain_weights(weights_named(self.name))
