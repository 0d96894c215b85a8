"""Features of many photos: in batches of one size where the network takes them, one by one where it does not."""

from collections.abc import Sequence

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.batches import batch_runner, grouped
from reconflow.nets.protocols import Extractor, takes_batches

PHOTOS_IN_A_BATCH = 8
"""On a GPU, at first; fewer once memory ran out."""


def extract_many(
    extractor: Extractor, images: Sequence[Array], *, config: ExtractConfig, batch: int = PHOTOS_IN_A_BATCH
) -> list[Features]:
    """Return what the extractor finds in each of the (H, W, 3) uint8 RGB rasters, as if each were alone.

    Where memory runs out batches halve, and a photo for which it does not suffice alone is tried as ``extract`` does.
    """
    if len(images) == 1 or not takes_batches(extractor):
        return [extractor.extract(image, config=config) for image in images]
    from reconflow.nets.devices import torch_device  # torch: only where a network runs

    def of_batch(places: Sequence[int]) -> list[Features]:
        if len(places) == 1:
            return [extractor.extract(images[places[0]], config=config)]
        return extractor.extract_batch([images[place] for place in places], config=config)

    found: dict[int, Features] = {}
    for group in grouped(images, key=lambda image: image.shape):
        shape = images[group[0]].shape, config.long_edge_px, config.enlarge
        runner = batch_runner((extractor.name, torch_device().type), shape, batch)
        found.update(zip(group, runner.map(of_batch, group), strict=True))
    return [found[place] for place in range(len(images))]
