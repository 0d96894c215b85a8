import json
from argparse import Namespace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from reconflow.errors import WeightsError  # noqa: E402
from reconflow.nets.mast3r.checkpoint import (  # noqa: E402
    POINT_HEAD_NAMES,
    SKIPPED,
    build_mast3r,
    load_mast3r,
    load_point_head,
)
from reconflow.nets.mast3r.model import Mast3r, Sizes  # noqa: E402

NOWHERE = Path("mast3r.pth")


def test_every_tensor_of_the_official_checkpoint_is_used_or_skipped(golden):
    manifest = json.loads((golden / "mast3r_vitlarge_manifest.json").read_text())
    tensors = {name: torch.empty(shape, device="meta") for name, shape in manifest.items()}
    network = build_mast3r(tensors, path=NOWHERE)
    used = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert len(manifest) == 1017
    assert set(used) | set(SKIPPED) == set(manifest)
    assert not set(used) & set(SKIPPED)
    assert used == {name: manifest[name] for name in used}
    assert network.sizes == Sizes(1024, 24, 4096, 768, 12, 3072, 7168, 6400)


def test_a_missing_tensor_is_named(small_state):
    for name in ("dec_blocks2.1.cross_attn.projk.bias", "enc_blocks.0.mlp.fc1.weight", "enc_norm.weight"):
        with pytest.raises(WeightsError, match=f"ha(s|ve) no (tensor )?{name}"):
            build_mast3r({other: tensor for other, tensor in small_state.items() if other != name}, path=NOWHERE)


def test_an_unknown_tensor_is_named(small_state):
    with pytest.raises(WeightsError, match=r"has unknown prediction_head\.weight"):
        build_mast3r({**small_state, "prediction_head.weight": torch.zeros(3)}, path=NOWHERE)


def test_a_tensor_of_another_shape_is_named(small_state):
    with pytest.raises(WeightsError, match=r"another shape of decoder_embed\.bias"):
        build_mast3r({**small_state, "decoder_embed.bias": torch.zeros(3)}, path=NOWHERE)


def test_the_weights_are_mapped_and_not_copied(small_state):
    network = build_mast3r(small_state, path=NOWHERE)
    assert network.enc_norm.weight.data_ptr() == small_state["enc_norm.weight"].data_ptr()


def test_a_safetensors_twin_gives_the_same_network(small, small_state, tmp_path):
    from safetensors.torch import save_file

    save_file(small_state, tmp_path / "mast3r.safetensors")
    twin = load_mast3r(tmp_path / "mast3r.safetensors", device=torch.device("cpu"))
    for name, tensor in small.state_dict().items():
        assert torch.equal(twin.state_dict()[name], tensor)


def test_the_point_heads_can_be_loaded_by_themselves(small_state, tmp_path):
    heads = {
        f"downstream_head{view}.dpt.{name}": torch.full((1,), view) for view in (1, 2) for name in POINT_HEAD_NAMES
    }
    path = tmp_path / "mast3r.pth"
    torch.save({"args": Namespace(), "model": {**small_state, **heads}}, path)
    assert isinstance(load_mast3r(path, device=torch.device("cpu")), Mast3r)
    assert all(tensor == 2 for tensor in load_point_head(path, view=2).values())
    torch.save({"model": small_state}, path)
    with pytest.raises(WeightsError, match=r"has no downstream_head1\.dpt\."):
        load_point_head(path, view=1)
