import json

import numpy as np
import pytest

from reconflow.config import ExtractConfig
from reconflow.errors import WeightsError

torch = pytest.importorskip("torch")

from reconflow.nets.superpoint import SuperPoint, SuperPointNetwork, spread_maxima  # noqa: E402

CPU = torch.device("cpu")
V6_NAMES = {
    **{f"conv{block + 1}{'ab'[layer]}": f"backbone.{block}.{layer}" for block in range(4) for layer in range(2)},
    "convPa": "detector.0",
    "convPb": "detector.1",
    "convDa": "descriptor.0",
    "convDb": "descriptor.1",
}


def v6_layout(state):
    """The same network in superpoint_v6's names, its normalisations doing nothing."""
    twin = {}
    for old, new in V6_NAMES.items():
        bias = state[f"{old}.bias"]
        twin[f"{new}.conv.weight"], twin[f"{new}.conv.bias"] = state[f"{old}.weight"], bias
        twin[f"{new}.bn.weight"], twin[f"{new}.bn.bias"] = torch.ones_like(bias), torch.zeros_like(bias)
        twin[f"{new}.bn.running_mean"] = torch.zeros_like(bias)
        twin[f"{new}.bn.running_var"] = torch.full_like(bias, 1 - 1e-3)
        twin[f"{new}.bn.num_batches_tracked"] = torch.tensor(7)
    return twin


def found(state, raster, *, threshold=0.005, at_most=10_000):
    return SuperPointNetwork(state, device=CPU)(raster, threshold=threshold, at_most=at_most)


@pytest.fixture(scope="module")
def raster(texture):
    return torch.from_numpy(texture[:120, :161].mean(axis=2).astype(np.float32) / 255)


def test_it_computes_what_the_authors_network_does(golden, seeded_state):
    manifest = json.loads((golden / "superpoint_manifest.json").read_text())
    expected = np.load(golden / "superpoint.npz")
    state = {name: torch.from_numpy(np.float32(1.6) * array) for name, array in seeded_state(manifest).items()}
    ours = found(state, torch.from_numpy(expected["image"]), threshold=0.0005, at_most=500)
    place = {tuple(xy): row for row, xy in enumerate(ours.keypoints.tolist())}
    common = [(place[xy], row) for row, xy in enumerate(map(tuple, expected["keypoints_xy"].tolist())) if xy in place]
    rows, theirs = np.array(common).T
    assert len(rows) >= 0.99 * len(expected["scores"])
    np.testing.assert_allclose(ours.scores.numpy()[rows], expected["scores"][theirs], atol=1e-5)
    np.testing.assert_allclose(ours.descriptors.numpy()[rows], expected["descriptors"][theirs], atol=1e-5)


def test_both_layouts_are_the_same_network(superpoint_state, raster):
    plain, twin = found(superpoint_state, raster), found(v6_layout(superpoint_state), raster)
    assert torch.equal(plain.keypoints, twin.keypoints)
    torch.testing.assert_close(plain.scores, twin.scores, atol=1e-5, rtol=0)
    assert (plain.descriptors * twin.descriptors).sum(dim=1).median() > 0.98  # placed a little differently


def test_v6_normalises_after_the_activation(superpoint_state):
    twin = v6_layout(superpoint_state)
    width = len(twin["backbone.0.0.bn.bias"])
    for offset, part in enumerate(("weight", "bias", "running_mean", "running_var")):
        twin[f"backbone.0.0.bn.{part}"] = torch.linspace(0.5, 1.5, width) + 0.1 * offset
    conv, norm = torch.nn.Conv2d(1, width, 3, padding=1), torch.nn.BatchNorm2d(width, eps=1e-3)
    conv.load_state_dict({part: twin[f"backbone.0.0.conv.{part}"] for part in ("weight", "bias")})
    norm.load_state_dict({part: twin[f"backbone.0.0.bn.{part}"] for part in norm.state_dict()})
    image = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = norm.eval()(torch.relu(conv(image)))
    first = SuperPointNetwork(twin, device=CPU)._layers[0]
    torch.testing.assert_close(first(image), expected)


def test_keypoints_keep_their_distance_from_each_other_and_from_the_border(superpoint_state, raster):
    keypoints = found(superpoint_state, raster).keypoints.numpy()
    gaps = np.abs(keypoints[:, None] - keypoints[None]).max(axis=2)
    assert gaps[~np.eye(len(gaps), dtype=bool)].min() > 4
    assert keypoints.min() >= 4
    assert (keypoints < np.array([160, 120]) - 4).all()


def test_what_a_maximum_hides_gives_way_to_the_next():
    heat = torch.zeros(20, 20)
    heat[10, 2], heat[10, 6], heat[10, 10] = 3.0, 2.0, 1.0  # a chain, each within reach of the next
    assert torch.nonzero(spread_maxima(heat)).tolist() == [[10, 2], [10, 10]]


def test_the_centre_of_the_top_left_pixel_is_a_half(superpoint_weights, texture):
    state = torch.load(superpoint_weights, weights_only=True)
    import cv2

    grey = cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY)
    plain = found(state, torch.from_numpy(grey.astype(np.float32) / 255), at_most=50)
    features = SuperPoint(file=superpoint_weights).extract(texture, config=ExtractConfig(max_keypoints=50, enlarge=1))
    np.testing.assert_array_equal(features.keypoints, plain.keypoints.numpy() + 0.5)


@pytest.mark.parametrize("layout", [dict, v6_layout], ids=["magic leap", "v6"])
def test_a_missing_and_an_unknown_tensor_are_named(superpoint_state, layout):
    state = layout(superpoint_state)
    last = [name for name in state if name.endswith("weight")][-1]
    with pytest.raises(WeightsError, match=f"lack the tensor {last}"):
        SuperPointNetwork({name: state[name] for name in state if name != last}, device=CPU)
    with pytest.raises(WeightsError, match=r"unknown tensor convX\.weight"):
        SuperPointNetwork({**state, "convX.weight": state[last]}, device=CPU)
