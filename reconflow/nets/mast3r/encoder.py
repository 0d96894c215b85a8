"""Photos → encodings: the half of MASt3R that looks at one photo at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from reconflow.config import Precision
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding, Frame
from reconflow.nets.batches import batch_runner, grouped
from reconflow.nets.devices import autocast, on_device, spares_memory, torch_device
from reconflow.nets.mast3r.checkpoint import made_with, shared_mast3r
from reconflow.nets.mast3r.frames import LONG_EDGE_PX, frame_of, framed
from reconflow.nets.mast3r.model import PATCH
from reconflow.nets.threads import opencv_on_one_thread

_COLOR_PX = 4
"""Pixels of the raster along each edge of one kept colour."""


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
        frames = [frame_of(image.shape[1], image.shape[0], long_edge_px=self.long_edge_px) for image in images]
        rasters = [framed(image, frame) for image, frame in zip(images, frames, strict=True)]
        made: dict[int, Encoding] = {}
        for group in grouped(rasters, key=lambda raster: raster.shape):
            runner = batch_runner(
                ("mast3r encoder", self.file, torch_device().type), rasters[group[0]].shape, self.batch
            )
            tokens = runner.map(self._tokens, [rasters[place] for place in group])
            for place, own in zip(group, tokens, strict=True):
                made[place] = _encoding(own, rasters[place], frames[place])
        return [made[place] for place in range(len(images))]

    def _tokens(self, rasters: Sequence[Array]) -> list[Array]:
        device = torch_device()
        network = shared_mast3r(self.file, device)
        with torch.inference_mode(), autocast(device, self.precision):
            pixels = on_device(np.stack(rasters), device).permute(0, 3, 1, 2)
            tokens = network.encode(pixels.float() / 127.5 - 1)
            return list(tokens.to(torch.float16).cpu().numpy())


def _encoding(tokens: Array, raster: Array, frame: Frame) -> Encoding:
    width, height = frame.size
    with opencv_on_one_thread():
        small = cv2.resize(raster, (width // _COLOR_PX, height // _COLOR_PX), interpolation=cv2.INTER_AREA)
    return Encoding(tokens, (height // PATCH, width // PATCH), small, frame)
