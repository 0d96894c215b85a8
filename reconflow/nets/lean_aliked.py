"""The forward pass of ALIKED without the full-size feature map.

Zhao et al., "ALIKED: A Lighter Keypoint and Descriptor Extraction Network via Deformable Transformation", IEEE TIM
2023. The authors (and kornia, whose module holds the tensors here) upsample four maps to the size of the photo, stack
them to 128 channels, and take scores and descriptors from that. Two things give the same numbers for less: the score
head's first layer is linear and so is upsampling, so it is applied first and eight channels are upsampled instead of
128; and descriptors need the stacked features only around keypoints.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from kornia.feature import ALIKED
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from reconflow.nets.found import Found

_STEP = 32
"""Photos are padded to a multiple of this."""
_STRIDES = (2, 8, 32)
_RADIUS = 2
"""A keypoint is the strict maximum of a window of this radius, and lies no nearer to the border."""
_TEMPERATURE = 0.1


class Pyramid(NamedTuple):
    """What the stacked features are made of: a full-size map before its last layer, and three smaller ones after."""

    full: Tensor
    """(C, H, W) of the padded photo."""
    reduced: tuple[Tensor, Tensor, Tensor]
    """(1, D / 4, H / s, W / s) for the strides 2, 8 and 32."""
    corner: tuple[int, int]
    """Column and row at which the photo lies in the padded one."""
    size: tuple[int, int]
    """Width and height of the photo."""


class LeanAliked:
    """ALIKED's forward pass over the tensors of kornia's module, whose normalisation is folded into its convolutions.

    Parameters
    ----------
    model : ALIKED
        Filled with weights, in evaluation mode.

    """

    def __init__(self, model: ALIKED):
        self.model: Any = model
        self.width = int(self.model.desc_head.sf_conv.in_channels)
        for block in (self.model.block1, self.model.block2):
            block.conv1, block.bn1 = fuse_conv_bn_eval(block.conv1, block.bn1), torch.nn.Identity()
            block.conv2, block.bn2 = fuse_conv_bn_eval(block.conv2, block.bn2), torch.nn.Identity()

    def __call__(self, image: Tensor, *, threshold: float, at_most: int, allowed: Tensor | None = None) -> Found:
        """Return the keypoints of a (3, H, W) raster of values from 0 to 1.

        Parameters
        ----------
        image : Tensor
            Red, green, blue.
        threshold : float
            Least score of a keypoint; where none reaches it, those above the mean score stay.
        at_most : int
            The strongest ones are kept.
        allowed : Tensor, optional
            (H, W) bool: where keypoints may lie.

        """
        masks = None if allowed is None else [allowed]
        return self.batch(image[None], threshold=threshold, at_most=at_most, allowed=masks)[0]

    def batch(
        self, images: Tensor, *, threshold: float, at_most: int, allowed: Sequence[Tensor] | None = None
    ) -> list[Found]:
        """Return the keypoints of each of (B, 3, H, W) rasters: the same as alone, since only layers are shared."""
        scores, pyramids = self.score_maps(images)
        masks = [None] * len(images) if allowed is None else allowed
        return [
            self._found(own, pyramid, threshold=threshold, at_most=at_most, allowed=mask)
            for own, pyramid, mask in zip(scores, pyramids, masks, strict=True)
        ]

    def _found(
        self, scores: Tensor, pyramid: Pyramid, *, threshold: float, at_most: int, allowed: Tensor | None
    ) -> Found:
        peaks = _peaks(scores, threshold=threshold, at_most=at_most, allowed=allowed)
        keypoints, strength = _refined(scores, peaks)
        order = torch.sort(strength, descending=True, stable=True).indices
        keypoints, strength = keypoints[order], strength[order]
        return Found(keypoints, strength, self._describe(pyramid, keypoints))

    def score_maps(self, images: Tensor) -> tuple[Tensor, list[Pyramid]]:
        """Return the (B, H, W) scores of (B, 3, H, W) rasters, and what descriptors are made of."""
        model = self.model
        height, width = images.shape[-2:]
        right, below = -width % _STEP, -height % _STEP
        left, above = right // 2, below // 2
        padded = functional.pad(images, (left, right - left, above, below - above), mode="replicate")
        x1 = model.block1(padded)
        x2 = model.block2(model.pool2(x1))
        x3 = model.block3(model.pool4(x2))
        x4 = model.block4(model.pool4(x3))
        maps = tuple(model.gate(layer(x)) for layer, x in ((model.conv2, x2), (model.conv3, x3), (model.conv4, x4)))
        total = self._first_of_head(x1, maps)
        for layer in model.score_head[1:]:
            total = layer(total)
        scores = torch.sigmoid(total[:, 0, above : above + height, left : left + width])
        place = (left, above), (width, height)
        return scores, [
            Pyramid(x1[n], (maps[0][n : n + 1], maps[1][n : n + 1], maps[2][n : n + 1]), *place)
            for n in range(len(images))
        ]

    def _first_of_head(self, full: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """Apply the score head's first layer, a sum over the four stacked maps, to each of them before upsampling."""
        first = self.model.score_head[0].weight
        part = first.shape[1] // 4
        total = functional.conv2d(self.model.gate(self.model.conv1(full)), first[:, :part])
        for number, (features, stride) in enumerate(zip(maps, _STRIDES, strict=True), start=1):
            small = functional.conv2d(features, first[:, number * part : (number + 1) * part])
            total += functional.interpolate(small, scale_factor=stride, mode="bilinear", align_corners=True)
        return total

    def _describe(self, pyramid: Pyramid, keypoints: Tensor) -> Tensor:
        """Return the (N, D) descriptors at (N, 2) keypoints: samples at learned offsets, weighted and summed."""
        if len(keypoints) == 0:
            return torch.zeros(0, self.width, device=keypoints.device)
        head = self.model.desc_head
        width, height = pyramid.size
        places = keypoints[:, None] + self._offsets(pyramid, keypoints)
        low = places.floor()
        fraction = places - low
        samples = torch.zeros(*places.shape[:2], self.width, device=places.device)
        for dx in (0, 1):
            for dy in (0, 1):
                at = low + torch.tensor([dx, dy], device=low.device)
                inside = (at >= 0).all(-1) & (at[..., 0] < width) & (at[..., 1] < height)
                share = (fraction[..., 0] if dx else 1 - fraction[..., 0]) * (
                    fraction[..., 1] if dy else 1 - fraction[..., 1]
                )
                samples += (share * inside)[..., None] * self._features_at(pyramid, at.clamp(min=0).long())
        mixed = functional.selu(samples @ head.sf_conv.weight[:, :, 0, 0].T)
        return functional.normalize(torch.einsum("npc,pcd->nd", mixed, head.agg_weights), dim=1)

    def _offsets(self, pyramid: Pyramid, keypoints: Tensor) -> Tensor:
        """Return the (N, P, 2) places, relative to each keypoint, that its own patch of features asks for."""
        head = self.model.desc_head
        width, height = pyramid.size
        side = head.kernel_size
        first = (keypoints.long() - side / 2 + 1).long()
        first = torch.stack([first[:, 0].clamp(0, width - 1 - side), first[:, 1].clamp(0, height - 1 - side)], dim=1)
        steps = torch.arange(side, device=first.device)
        patch = first[:, None, None] + torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        features = self._features_at(pyramid, patch.reshape(len(first), -1, 2))
        features = features.reshape(len(first), side, side, -1).permute(0, 3, 1, 2)
        most = max(height, width) / 4
        offsets = head.offset_conv(features).clamp(-most, most)
        return offsets[:, :, 0, 0].reshape(len(first), 2, head.n_pos).transpose(1, 2)

    def _features_at(self, pyramid: Pyramid, pixels: Tensor) -> Tensor:
        """Return the (N, P, D) stacked unit features at (N, P, 2) integer pixels of the photo."""
        shape = pixels.shape[:2]
        width, height = pyramid.size
        high, wide = pyramid.full.shape[1:]
        x = pixels[..., 0].reshape(-1).clamp(max=width - 1) + pyramid.corner[0]
        y = pixels[..., 1].reshape(-1).clamp(max=height - 1) + pyramid.corner[1]
        at, back = torch.unique(y * wide + x, return_inverse=True)
        x, y = at % wide, at // wide
        full = pyramid.full.flatten(1)[:, at].T @ self.model.conv1.weight[:, :, 0, 0].T
        grid = torch.stack([2 * x / (wide - 1) - 1, 2 * y / (high - 1) - 1], dim=1)[None, None]
        parts = [functional.selu(full)]
        parts += [functional.grid_sample(m, grid, align_corners=True)[0, :, 0].T for m in pyramid.reduced]
        return functional.normalize(torch.cat(parts, dim=1), dim=1)[back].reshape(*shape, -1)


def _peaks(scores: Tensor, *, threshold: float, at_most: int, allowed: Tensor | None) -> Tensor:
    """Return the (N, 2) x, y of the strongest strict maxima."""
    window = 2 * _RADIUS + 1
    candidates = scores if allowed is None else torch.where(allowed, scores, 0)
    inner = candidates[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    if min(inner.shape) < 1:
        return torch.zeros(0, 2, dtype=torch.long, device=scores.device)
    wide = functional.max_pool2d(candidates[None], (1, window), stride=1, padding=(0, _RADIUS))
    highest = functional.max_pool2d(wide, (window, 1), stride=1, padding=(_RADIUS, 0))[0]
    least = threshold if bool((inner > threshold).any()) else float(scores.mean())
    is_peak = (inner == highest[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]) & (inner > least)
    rows, columns = torch.nonzero(is_peak, as_tuple=True)
    peaks = torch.stack([columns, rows], dim=1) + _RADIUS
    values = scores[peaks[:, 1], peaks[:, 0]]
    windows = _windows(scores, peaks)
    lonely = (windows >= values[:, None]).sum(dim=1) == 1  # of equal neighbours none is a strict maximum
    peaks, values = peaks[lonely], values[lonely]
    return peaks[torch.sort(values, descending=True, stable=True).indices[:at_most]]


def _windows(scores: Tensor, peaks: Tensor) -> Tensor:
    """Return the (N, 25) scores around each peak, row by row."""
    steps = torch.arange(-_RADIUS, _RADIUS + 1, device=peaks.device)
    rows = peaks[:, 1, None, None] + steps[:, None]
    columns = peaks[:, 0, None, None] + steps
    return scores[rows, columns].flatten(1)


def _refined(scores: Tensor, peaks: Tensor) -> tuple[Tensor, Tensor]:
    """Move each peak to the soft centre of its window; return (N, 2) x, y and (N,) the score there."""
    if len(peaks) == 0:
        return torch.zeros(0, 2, device=scores.device), torch.zeros(0, device=scores.device)
    windows = _windows(scores, peaks)
    weights = ((windows - windows.max(dim=1, keepdim=True).values) / _TEMPERATURE).exp()
    steps = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float32, device=scores.device)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
    keypoints = peaks + weights @ grid / weights.sum(dim=1, keepdim=True)
    size = torch.tensor(scores.shape[::-1], device=scores.device) - 1
    places = (keypoints / size * 2 - 1)[None, None]
    return keypoints, functional.grid_sample(scores[None, None], places, align_corners=True)[0, 0, 0]
