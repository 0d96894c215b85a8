import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reconflow.errors import WeightsError  # noqa: E402
from reconflow.nets.dinov2 import build_dinov2  # noqa: E402

AUTHORS = {
    (70, 70): ([0.918799, 0.311375, 0.244304, 0.120366, 0.862756, -1.992027], 0.8267468),
    (252, 336): ([1.191103, 0.934093, -0.974675, -0.057774, 0.228851, -1.537371], 0.8351054),
    (14, 98): ([-0.847567, 0.534456, -0.416458, 0.242638, 1.371625, -0.285686], 0.8296361),
}
"""What the authors' code (facebookresearch/dinov2, b8931f7) gives for the seeded weights, by height and width: the
first channels of the last token of the second image, and the mean of all absolute values."""


@pytest.mark.parametrize("size", AUTHORS, ids=str)
def test_it_gives_the_authors_numbers(dinov2_state, tmp_path, size):
    seed = size[0] * 1000 + size[1]
    images = np.random.default_rng(seed).normal(size=(2, 3, *size)).astype(np.float32)
    network = build_dinov2(dinov2_state, path=tmp_path)
    tokens = network(torch.from_numpy(images)).double()
    channels, mean = AUTHORS[size]
    assert tokens.shape == (2, size[0] * size[1] // 14**2, 128)
    np.testing.assert_allclose(tokens[1, -1, :6], channels, atol=1e-5)
    np.testing.assert_allclose(tokens.abs().mean(), mean, atol=1e-6)


def test_it_is_what_torchs_own_transformer_computes(dinov2_state, tmp_path):
    """Scaled residuals are folded into the weights before them, and places are those of the training."""
    state = dinov2_state
    images = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 3, 70, 70)).astype(np.float32))
    tokens = torch.nn.functional.conv2d(
        images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14
    )
    first = state["cls_token"].expand(2, -1, -1)
    x = torch.cat([first, tokens.flatten(2).transpose(1, 2)], dim=1) + state["pos_embed"]
    for number in range(3):
        own = {name[9:]: tensor for name, tensor in state.items() if name.startswith(f"blocks.{number}.")}
        layer = torch.nn.TransformerEncoderLayer(
            128, 2, 512, dropout=0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        folded = {name: own[name] for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")}
        for part in ("weight", "bias"):
            folded[f"self_attn.in_proj_{part}"] = own[f"attn.qkv.{part}"]
            folded[f"linear1.{part}"] = own[f"mlp.fc1.{part}"]
            for scale, before, after in (("ls1", "attn.proj", "self_attn.out_proj"), ("ls2", "mlp.fc2", "linear2")):
                folded[f"{after}.{part}"] = torch.einsum("o...,o->o...", own[f"{before}.{part}"], own[f"{scale}.gamma"])
        layer.load_state_dict(folded)
        x = layer.eval()(x)
    wanted = torch.nn.functional.layer_norm(x, (128,), state["norm.weight"], state["norm.bias"], eps=1e-6)[:, 1:]
    found = build_dinov2(state, path=tmp_path)(images)
    assert (found - wanted).abs().max() < 1e-5


def test_every_tensor_is_used_or_known_to_be_of_no_use(dinov2_state, tmp_path):
    path = tmp_path / "dinov2.pth"
    for name in sorted(set(dinov2_state) - {"mask_token"}):
        with pytest.raises(WeightsError, match=r"dinov2\.pth has no"):
            build_dinov2({one: tensor for one, tensor in dinov2_state.items() if one != name}, path=path)
    with pytest.raises(WeightsError, match=r"dinov2\.pth has unknown register_tokens"):
        build_dinov2(dinov2_state | {"register_tokens": torch.zeros(1, 4, 128)}, path=path)
    build_dinov2({name: tensor for name, tensor in dinov2_state.items() if name != "mask_token"}, path=path)


def test_images_of_half_a_token_are_refused(dinov2_state, tmp_path):
    with pytest.raises(ValueError, match="multiples of 14 high and wide, got 70 × 77"):
        build_dinov2(dinov2_state, path=tmp_path)(torch.zeros(1, 3, 70, 77))
