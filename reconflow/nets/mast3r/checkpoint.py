"""The official checkpoint → a network, every tensor of it accounted for."""

from importlib.metadata import version
from itertools import product
from pathlib import Path

import torch

from reconflow.errors import WeightsError
from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import Tensors, fill_module, load_tensors
from reconflow.nets.devices import models
from reconflow.nets.mast3r.model import Mast3r, Sizes
from reconflow.nets.weights import obtain_weights, sha256_of

_HEADS = ("downstream_head1", "downstream_head2")
_BOTH = ("weight", "bias")


def _point_head_names() -> tuple[str, ...]:
    """Name the tensors of a point head, a dense prediction transformer; the layers of its neck stand in it twice."""
    projections = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1))
    units = ("out_conv", *(f"resConfUnit{unit}.conv{conv}" for unit, conv in product((1, 2), (1, 2))))
    return (
        *(f"act_postprocess.{stage}.{layer}.{part}" for (stage, layer), part in product(projections, _BOTH)),
        *(f"scratch.layer{layer}_rn.weight" for layer in range(1, 5)),
        *(f"scratch.layer_rn.{layer}.weight" for layer in range(4)),
        *(f"scratch.refinenet{net}.{unit}.{part}" for net, unit, part in product(range(1, 5), units, _BOTH)),
        *(f"head.{layer}.{part}" for layer, part in product((0, 2, 4), _BOTH)),
    )


POINT_HEAD_NAMES = _point_head_names()
"""Tensors of one point head, without their prefix."""

SKIPPED = ("mask_token", *(f"{head}.dpt.{name}" for head, name in product(_HEADS, POINT_HEAD_NAMES)))
"""What matching has no use for: the token that hid patches in training, and the point heads."""


def checkpoint_path(file: Path | None) -> Path:
    """Return ``file``, or else the official checkpoint on this machine.

    Raises
    ------
    WeightsError
        Which file is missing, where to get it and where to put it.

    """
    return file or obtain_weights(weights_named("mast3r"))


def made_with(file: Path | None) -> str:
    """Name the revision of this package, the library and the checkpoint, for keys."""
    return f"mast3r 2, torch {version('torch')}, weights {sha256_of(checkpoint_path(file))[:16]}"


def shared_mast3r(file: Path | None, device: torch.device) -> Mast3r:
    """Return this process's network, which encoder and matcher share."""
    path = checkpoint_path(file)
    return models().get(("mast3r", path, device.type), lambda: load_mast3r(path, device=device))


def load_mast3r(path: Path, *, device: torch.device) -> Mast3r:
    """Return the network of a checkpoint, its weights mapped from the file where it stays on the CPU.

    Raises
    ------
    WeightsError
        Naming a tensor that is missing, unknown, or of another shape.

    """
    return build_mast3r(load_tensors(path, inside="model"), path=path).to(device)


def build_mast3r(tensors: Tensors, *, path: Path) -> Mast3r:
    """Return the network of tensors by name; depths and widths are read off them."""
    sizes = Sizes.of({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    with torch.device("meta"):
        network = Mast3r(sizes)
    fill_module(network, tensors, path=path, skipped=SKIPPED)
    return network


def load_point_head(path: Path, *, view: int) -> Tensors:
    """Return the tensors of the point head of view 1 or 2, without prefix.

    No stage uses them: they are what a dense cloud would be made with, and this keeps them within reach.

    Raises
    ------
    WeightsError
        Naming a tensor that is missing.

    """
    tensors = load_tensors(path, inside="model")
    prefix = f"{_HEADS[view - 1]}.dpt."
    for name in POINT_HEAD_NAMES:
        if prefix + name not in tensors:
            raise WeightsError(f"{path} has no {prefix}{name}: it is not a checkpoint with point heads")
    return {name: tensors[prefix + name] for name in POINT_HEAD_NAMES}
