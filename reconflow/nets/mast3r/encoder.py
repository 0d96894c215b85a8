"""Photos → encodings: the half of MASt3R that looks at one photo at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reconflow.config import Precision
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.nets.devices import autocast, on_device, spares_memory, torch_device
from reconflow.nets.encoding import encode_in_batches
from reconflow.nets.mast3r.checkpoint import made_with, shared_mast3r
from reconflow.nets.mast3r.model import PATCH

LONG_EDGE_PX = 512


@dataclass(frozen=True)
class Mast3rEncoder:
    """MASt3R's encoder on the device at hand; the network is loaded by the first photo.

    Parameters
    ----------
    file : Path, optional
        A checkpoint to use instead of the official one.
    precision : str
        Of matrix products.
    long_edge_px : int
        Of the raster; 512 is what the network was trained on.
    batch : int
        Photos of one token grid encoded together, at first; fewer once memory ran out.

    """

    file: Path | None = None
    precision: Precision = "auto"
    long_edge_px: int = LONG_EDGE_PX
    batch: int = 16
    name: str = "mast3r"

    @property
    def made_with(self) -> str:
        """Revision, library, the checkpoint by its hash, and what decides the tokens."""
        return f"{made_with(self.file)}, {self.precision}, {self.long_edge_px} px"

    @spares_memory
    def encode(self, images: Sequence[Array]) -> list[Encoding]:
        """Return the encodings of (H, W, 3) uint8 RGB photos, which may differ in size."""
        return encode_in_batches(
            images,
            self._tokens,
            long_edge_px=self.long_edge_px,
            patch_px=PATCH,
            model=("mast3r encoder", self.file, torch_device().type),
            batch=self.batch,
        )

    def _tokens(self, rasters: Sequence[Array]) -> list[Array]:
        device = torch_device()
        network = shared_mast3r(self.file, device)
        with torch.inference_mode(), autocast(device, self.precision):
            pixels = on_device(np.stack(rasters), device).permute(0, 3, 1, 2)
            tokens = network.encode(pixels.float() / 127.5 - 1)
            return list(tokens.to(torch.float16).cpu().numpy())
