"""The small MASt3R of seeded weights, loaded."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(scope="session")
def twin_weights(small_state, tmp_path_factory) -> Path:
    """A checkpoint whose two decoders are the same, so that a photo matches itself."""
    twins = {"dec_blocks2.": "dec_blocks.", "downstream_head2.": "downstream_head1."}
    state = dict(small_state)
    for name in state:
        for second, first in twins.items():
            if name.startswith(second):
                state[name] = state[name.replace(second, first)]
    path = tmp_path_factory.mktemp("mast3r") / "twins.pth"
    torch.save({"model": state}, path)
    return path


@pytest.fixture(scope="session")
def small(small_weights):
    """The small network on the CPU."""
    from reconflow.nets.mast3r.checkpoint import load_mast3r

    return load_mast3r(small_weights, device=torch.device("cpu"))
