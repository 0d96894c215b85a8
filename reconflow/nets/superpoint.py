"""SuperPoint: keypoints and descriptors of one convolutional network.

DeTone, Malisiewicz and Rabinovich, "SuperPoint: Self-Supervised Interest Point Detection and Description", CVPR
Workshops 2018. Two files of weights can be used, told apart by their tensor names: Magic Leap's own (non-commercial),
and the MIT-licensed ``superpoint_v6``, which normalises after each activation. They also place descriptors
differently, each as it was trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reconflow.config import ExtractConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.errors import WeightsError
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import load_tensors
from reconflow.nets.devices import models, spares_memory, torch_device
from reconflow.nets.found import Found
from reconflow.nets.raster import grey_of, resized
from reconflow.nets.weights import obtain_weights, sha256_of

_CELL = 8
_RADIUS = 4
"""No two keypoints are nearer than this in both axes, and none lies nearer to the border."""
_THRESHOLD = 0.005
_BATCH_NORM_EPS = 1e-3
_LEAST_CONTRAST = 1 / 255
_MAGIC_LEAP = (
    *("conv1a", "conv1b", "conv2a", "conv2b", "conv3a", "conv3b", "conv4a", "conv4b"),
    *("convPa", "convPb", "convDa", "convDb"),
)
_V6 = (
    *(f"backbone.{block}.{layer}" for block in range(4) for layer in range(2)),
    *("detector.0", "detector.1", "descriptor.0", "descriptor.1"),
)
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


class Layer(NamedTuple):
    """A convolution and the scale and shift that follow its activation (ones and zeros in Magic Leap's network)."""

    weight: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor

    def __call__(self, x: Tensor, *, activated: bool = True) -> Tensor:
        x = functional.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)
        x = functional.relu(x) if activated else x
        return torch.addcmul(self.shift[:, None, None], x, self.scale[:, None, None])


class SuperPointNetwork:
    """The forward pass over the tensors of a checkpoint of either kind.

    Parameters
    ----------
    state : mapping
        Tensor name → tensor.
    device : torch.device
        Where to run.

    Raises
    ------
    WeightsError
        If a tensor is missing or unknown; it names it.

    """

    def __init__(self, state: Mapping[str, Tensor], *, device: torch.device):
        self.is_v6 = "backbone.0.0.conv.weight" in state
        self.device = device
        layers = _v6_layers(state) if self.is_v6 else _magic_leap_layers(state)
        self._layers = [Layer(*(tensor.to(device, torch.float32) for tensor in layer)) for layer in layers]

    def __call__(self, grey: Tensor, *, threshold: float, at_most: int) -> Found:
        """Return the keypoints of an (H, W) raster of values from 0 to 1."""
        return self.batch(grey[None], threshold=threshold, at_most=at_most)[0]

    def batch(self, greys: Tensor, *, threshold: float, at_most: int) -> list[Found]:
        """Return the keypoints of each of (B, H, W) rasters: the same as alone, since only layers are shared."""
        height, width = (side // _CELL * _CELL for side in greys.shape[1:])
        if min(height, width) <= 2 * _RADIUS:
            return [_nothing()] * len(greys)
        x = greys[:, None].to(self.device)
        shallow, detector, descriptor = self._layers[:8], self._layers[8:10], self._layers[10:]
        for number, layer in enumerate(shallow):
            x = layer(x)
            if number in (1, 3, 5):
                x = functional.max_pool2d(x, 2)
        cells = detector[1](detector[0](x), activated=False).softmax(dim=1)[:, :-1]
        heats = functional.pixel_shuffle(cells, _CELL)[:, 0]
        dense = functional.normalize(descriptor[1](descriptor[0](x), activated=False), dim=1)
        found: list[Found] = []
        for number, heat in enumerate(heats):
            seen = _has_contrast(greys[number, :height, :width].to(self.device))
            spread = torch.where(seen, spread_maxima(heat), 0)
            keypoints, scores = _strongest(spread, threshold=threshold, at_most=at_most)
            found.append(Found(keypoints, scores, self._sample(dense[number : number + 1], keypoints)))
        return found

    def _sample(self, dense: Tensor, keypoints: Tensor) -> Tensor:
        """Interpolate the (1, 256, rows, columns) map at the keypoints."""
        size = torch.tensor(dense.shape[:1:-1], device=keypoints.device)
        if self.is_v6:
            places = (keypoints + 0.5) / (size * _CELL)
        else:
            places = (keypoints - _CELL / 2 + 0.5) / (size * _CELL - _CELL / 2 - 0.5)
        grid = (2 * places - 1)[None, None]
        sampled = functional.grid_sample(dense, grid, mode="bilinear", align_corners=not self.is_v6)
        return functional.normalize(sampled[0, :, 0].T, dim=1)


@dataclass(frozen=True)
class SuperPoint:
    """SuperPoint on the device at hand; the network is loaded by the first photo.

    Parameters
    ----------
    name : str
        ``superpoint`` for Magic Leap's weights, ``superpoint-open`` for the MIT-licensed ones.
    file : Path, optional
        A file of weights to use instead, in either layout.
    threshold : float
        Least probability of a keypoint.

    """

    name: str = "superpoint"
    file: Path | None = None
    threshold: float = _THRESHOLD

    @property
    def made_with(self) -> str:
        """Revision, library, and the weights by their hash."""
        return f"superpoint 1, torch {version('torch')}, weights {sha256_of(self._path())[:16]}"

    def _path(self) -> Path:
        return self.file or obtain_weights(weights_named(self.name))

    @spares_memory
    def extract(self, image: Array, *, config: ExtractConfig) -> Features:
        """Return the keypoints of ``image`` in its own pixels; parts without any contrast have none."""
        return self.extract_batch([image], config=config)[0]

    def extract_batch(self, images: Sequence[Array], *, config: ExtractConfig) -> list[Features]:
        """Return what ``extract`` does of each of several rasters of one size."""
        greys = np.stack([resized(grey_of(image), config.long_edge_px, enlarge=config.enlarge) for image in images])
        device = torch_device()
        path = self._path()
        network = models().get(
            (self.name, path, device.type), lambda: SuperPointNetwork(load_tensors(path), device=device)
        )
        with torch.inference_mode():
            pixels = torch.from_numpy(greys.astype(np.float32) / 255)
            found = network.batch(pixels, threshold=self.threshold, at_most=config.max_keypoints)
        shrink = np.array(images[0].shape[1::-1], np.float32) / np.array(greys.shape[:0:-1], np.float32)
        return [own.features_of(image, shrink=shrink) for image, own in zip(images, found, strict=True)]


def spread_maxima(heat: Tensor) -> Tensor:
    """Keep of an (H, W) map the local maxima, and zero the rest.

    What a maximum hides is taken away and the next largest get their turn, twice: otherwise a chain of falling values
    would leave gaps of more than the radius.
    """
    kept = heat == _highest(heat, _RADIUS)
    for _ in range(2):
        hidden = _highest(kept.float(), _RADIUS) > 0
        rest = torch.where(hidden, 0, heat)
        kept |= (rest == _highest(rest, _RADIUS)) & ~hidden
    return torch.where(kept, heat, 0)


def _strongest(heat: Tensor, *, threshold: float, at_most: int) -> tuple[Tensor, Tensor]:
    inner = heat[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    rows, columns = torch.nonzero(inner > threshold, as_tuple=True)
    scores = inner[rows, columns]
    order = torch.sort(scores, descending=True, stable=True).indices[:at_most]
    keypoints = torch.stack([columns[order], rows[order]], dim=1) + _RADIUS
    return keypoints, scores[order]


def _has_contrast(grey: Tensor) -> Tensor:
    """Tell for each pixel whether anything at all is to be seen around it."""
    return _highest(grey, _CELL) + _highest(-grey, _CELL) >= _LEAST_CONTRAST / 2


def _highest(values: Tensor, radius: int) -> Tensor:
    """Return the largest of an (H, W) map within ``radius`` of each pixel, along rows first and then along columns."""
    side = 2 * radius + 1
    along_rows = functional.max_pool2d(values[None], (1, side), stride=1, padding=(0, radius))
    return functional.max_pool2d(along_rows, (side, 1), stride=1, padding=(radius, 0))[0]


def _nothing() -> Found:
    return Found(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 256))


def _magic_leap_layers(state: Mapping[str, Tensor]) -> list[Layer]:
    _check(state, {f"{layer}.{part}" for layer in _MAGIC_LEAP for part in ("weight", "bias")})
    layers: list[Layer] = []
    for name in _MAGIC_LEAP:
        bias = state[f"{name}.bias"]
        layers.append(Layer(state[f"{name}.weight"], bias, torch.ones_like(bias), torch.zeros_like(bias)))
    return layers


def _v6_layers(state: Mapping[str, Tensor]) -> list[Layer]:
    parts = ("conv.weight", "conv.bias", *(f"bn.{part}" for part in _BATCH_NORM))
    counters = {f"{layer}.bn.num_batches_tracked" for layer in _V6}
    _check({name: state[name] for name in state if name not in counters}, {f"{a}.{b}" for a in _V6 for b in parts})
    layers: list[Layer] = []
    for name in _V6:
        gain, offset, mean, variance = (state[f"{name}.bn.{part}"] for part in _BATCH_NORM)
        scale = gain / torch.sqrt(variance + _BATCH_NORM_EPS)
        layers.append(Layer(state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], scale, offset - mean * scale))
    return layers


def _check(state: Mapping[str, Tensor], wanted: set[str]) -> None:
    for name in sorted(wanted - set(state)):
        raise WeightsError(f"the SuperPoint weights lack the tensor {name}: the file is damaged or of another model")
    for name in sorted(set(state) - wanted):
        raise WeightsError(f"the SuperPoint weights hold an unknown tensor {name}: the file is of another model")
