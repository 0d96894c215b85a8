"""A small MASt3R with seeded weights."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

SIZES = {"encoder": (64, 2), "decoder": (64, 2), "head": 48}
"""Width and depth of the encoder and of the decoders, hidden width of the heads."""


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear(name, into, out):
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def mlp(name, width):
    return linear(f"{name}.fc1", width, 2 * width) | linear(f"{name}.fc2", 2 * width, width)


def attention(name, width):
    return linear(f"{name}.qkv", width, 3 * width) | linear(f"{name}.proj", width, width)


def small_manifest():
    """Names and shapes of a checkpoint of the smallest useful size."""
    (wide, depth), (narrow, layers) = SIZES["encoder"], SIZES["decoder"]
    shapes = {
        "mask_token": (1, 1, narrow),
        "patch_embed.proj.weight": (wide, 3, 16, 16),
        "patch_embed.proj.bias": (wide,),
    }
    for i in range(depth):
        block = f"enc_blocks.{i}"
        shapes |= norm(f"{block}.norm1", wide) | norm(f"{block}.norm2", wide)
        shapes |= attention(f"{block}.attn", wide) | mlp(f"{block}.mlp", wide)
    for block in (f"{blocks}.{i}" for blocks in ("dec_blocks", "dec_blocks2") for i in range(layers)):
        for name in ("norm1", "norm2", "norm3", "norm_y"):
            shapes |= norm(f"{block}.{name}", narrow)
        for part in ("projq", "projk", "projv", "proj"):
            shapes |= linear(f"{block}.cross_attn.{part}", narrow, narrow)
        shapes |= attention(f"{block}.attn", narrow) | mlp(f"{block}.mlp", narrow)
    for head in ("downstream_head1", "downstream_head2"):
        features = f"{head}.head_local_features"
        shapes |= linear(f"{features}.fc1", wide + narrow, SIZES["head"]) | linear(
            f"{features}.fc2", SIZES["head"], 25 * 256
        )
    return shapes | norm("enc_norm", wide) | norm("dec_norm", narrow) | linear("decoder_embed", wide, narrow)


@pytest.fixture(scope="session")
def small_state() -> dict:
    """Seeded tensors of a small MASt3R by name."""
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, shape in small_manifest().items():
        noise = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            state[name] = noise / noise[0].numel() ** 0.5
        else:
            state[name] = 0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return state


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
def small_weights(small_state, tmp_path_factory) -> Path:
    """A checkpoint file as its authors would write it."""
    from argparse import Namespace

    path = tmp_path_factory.mktemp("mast3r") / "mast3r.pth"
    torch.save({"args": Namespace(lr=1e-4), "model": small_state}, path)
    return path


@pytest.fixture(scope="session")
def small(small_weights):
    """The small network on the CPU."""
    from reconflow.nets.mast3r.checkpoint import load_mast3r

    return load_mast3r(small_weights, device=torch.device("cpu"))
