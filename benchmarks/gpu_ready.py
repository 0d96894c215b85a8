"""Tell what `make bench-gpu` lacks on this machine, all of it at once and before anything is measured."""

import importlib.util

from reconflow.nets.catalogue import weights_named
from reconflow.nets.devices import trouble_with_cuda
from reconflow.nets.weights import find_weights

WEIGHTS = ("aliked-t16", "aliked-n16rot", "xfeat", "lighterglue-xfeat")
"""Of networks that the tests on a GPU and the measurements run."""


def lacking() -> list[str]:
    """Return what is missing, each with how to get it."""
    found = [f"torch can use no GPU here: {trouble}"] if (trouble := trouble_with_cuda()) else []
    if importlib.util.find_spec("pynvml") is None:
        found.append("nothing asks the GPUs' driver: `pip install nvidia-ml-py`")
    absent = " ".join(name for name in WEIGHTS if find_weights(weights_named(name)) is None)
    if absent:
        found.append(f"weights are missing: `reconflow weights fetch {absent}`")
    return found


if __name__ == "__main__":
    raise SystemExit("; ".join(lacking()) or None)
