"""What encoders of photos share: rasters of one size go through a network together, and come back as encodings."""

from collections.abc import Callable, Hashable, Sequence

import cv2

from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding, Frame
from reconflow.nets.batches import batch_runner, grouped
from reconflow.nets.frames import frame_of, framed
from reconflow.nets.threads import opencv_on_one_thread

_COLOR_PX = 4
"""Pixels of the raster along each edge of one kept colour."""


def encode_in_batches(
    images: Sequence[Array],
    tokens_of: Callable[[Sequence[Array]], Sequence[Array]],
    *,
    long_edge_px: int,
    patch_px: int,
    model: Hashable,
    batch: int,
) -> list[Encoding]:
    """Return the encodings of (H, W, 3) uint8 RGB photos, which may differ in size.

    Parameters
    ----------
    images : sequence of Array
        The photos.
    tokens_of : callable
        Makes of rasters of one size the (T, C) float16 tokens of each.
    long_edge_px, patch_px : int
        Of the rasters, and of the patch of a token.
    model : hashable
        What stands for the network on its device: what its memory does not hold is tried once.
    batch : int
        Photos encoded together, at first; fewer once memory ran out.

    """
    frames = [
        frame_of(image.shape[1], image.shape[0], long_edge_px=long_edge_px, patch_px=patch_px) for image in images
    ]
    rasters = [framed(image, frame) for image, frame in zip(images, frames, strict=True)]
    made: dict[int, Encoding] = {}
    for group in grouped(rasters, key=lambda raster: raster.shape):
        runner = batch_runner(model, rasters[group[0]].shape, batch)
        tokens = runner.map(tokens_of, [rasters[place] for place in group])
        for place, own in zip(group, tokens, strict=True):
            made[place] = _encoding(own, rasters[place], frames[place], patch_px)
    return [made[place] for place in range(len(images))]


def _encoding(tokens: Array, raster: Array, frame: Frame, patch_px: int) -> Encoding:
    width, height = frame.size
    with opencv_on_one_thread():
        small = cv2.resize(raster, (width // _COLOR_PX, height // _COLOR_PX), interpolation=cv2.INTER_AREA)
    return Encoding(tokens, (height // patch_px, width // patch_px), small, frame)
