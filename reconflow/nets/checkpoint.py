"""Checkpoint files → tensors → modules, with every tensor accounted for."""

import argparse
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from reconflow.errors import DependencyError, WeightsError

Tensors = dict[str, torch.Tensor]

_UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""What torch raises of a file that is none of its own."""


def load_tensors(path: Path, *, inside: str = "") -> Tensors:
    """Return the tensors of a checkpoint by name, mapped from the file and not copied.

    Nothing but tensors and plain containers is unpickled: a file cannot run code.

    Parameters
    ----------
    path : Path
        A file of ``torch.save``, or a ``.safetensors`` one.
    inside : str
        Key under which the file keeps them; a file without that key is taken as the tensors themselves.

    Raises
    ------
    WeightsError
        If it is no such file.

    """
    tree = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if inside and isinstance(tree.get(inside), Mapping):
        tree = tree[inside]
    tensors = {str(name): value for name, value in tree.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; get it again")
    return tensors


def fill_module(
    module: torch.nn.Module,
    tensors: Tensors,
    *,
    path: Path,
    skipped: Sequence[str] = (),
    derived: Sequence[str] = (),
) -> None:
    """Load ``tensors`` into ``module`` and set it to evaluation; each must find its place, and each place its tensor.

    A module on the meta device takes the tensors as they are, mapped from the file; any other one copies them.

    Parameters
    ----------
    module : torch.nn.Module
        What is filled.
    tensors : dict
        Name → tensor, as the module calls them.
    path : Path
        The file they came from, for messages.
    skipped : sequence of str
        Beginnings of names that the file has and the module has no use for.
    derived : sequence of str
        Names of buffers that the module computes for itself.

    Raises
    ------
    WeightsError
        Naming the tensors that are missing, left over, or of another shape.

    """
    wanted = module.state_dict()
    missing = sorted(name for name in wanted if name not in tensors and name not in derived)
    left = sorted(name for name in tensors if name not in wanted and not name.startswith(tuple(skipped)))
    bent = sorted(name for name in tensors if name in wanted and tensors[name].shape != wanted[name].shape)
    for what, names in (("has no", missing), ("has unknown", left), ("has another shape of", bent)):
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise WeightsError(f"{path} {what} {shown}: it is not the file this model needs")
    assign = any(tensor.is_meta for tensor in wanted.values())
    module.load_state_dict({name: tensors[name] for name in wanted if name in tensors}, strict=False, assign=assign)
    module.eval().requires_grad_(requires_grad=False)


def _read_torch(path: Path) -> dict[str, Any]:
    # MASt3R's checkpoint keeps the options it was trained with beside its tensors, as argparse left them.
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except _UNREADABLE as error:
            if not _is_old_format(error):
                raise _unreadable(path, error) from error
            tree = _read_old_torch(path)
    if not isinstance(tree, Mapping):
        raise WeightsError(f"{path} holds no tensors; get it again")
    return dict(tree)


def _is_old_format(error: Exception) -> bool:
    return "mmap can only be used with files saved with" in str(error)


def _read_old_torch(path: Path) -> Any:
    """Read a file from before PyTorch 1.6, which is no ZIP and cannot be mapped."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> WeightsError:
    if isinstance(error, (RuntimeError, OSError, EOFError)):  # of a file that begins as one
        return WeightsError(f"{path} cannot be read ({_first_sentence(error)}); get it again")
    return WeightsError(f"{path} is no checkpoint of PyTorch; get it again")


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise DependencyError(f"{path.name} needs the package safetensors: pip install reconflow[learned]") from error
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({_first_sentence(error)}); get it again") from error


def _first_sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0].rstrip(".")
