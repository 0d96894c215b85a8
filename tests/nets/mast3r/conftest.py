"""The small MASt3R of seeded weights, loaded."""

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(scope="session")
def small(small_weights):
    """The small network on the CPU."""
    from reconflow.nets.mast3r.checkpoint import load_mast3r

    return load_mast3r(small_weights, device=torch.device("cpu"))
