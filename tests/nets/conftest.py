"""Pictures and features whose truth is known."""

import functools
import importlib.util
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconflow.config import ExtractConfig
from reconflow.core.features import Features
from reconflow.nets.registry import create_extractor


def noise_texture(*, size: tuple[int, int], seed: int) -> np.ndarray:
    """Return an (H, W, 3) uint8 picture of noise in several octaves, ``size`` being width and height."""
    rng = np.random.default_rng(seed)
    width, height = size
    total = np.zeros((height, width, 3), np.float32)
    for cell in (3, 6, 12, 24, 48):
        grain = rng.random((height // cell + 2, width // cell + 2, 3), np.float32)
        total += cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC)
    total -= total.min()
    return np.clip(total / total.max() * 255, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def texture() -> np.ndarray:
    """A picture full of keypoints: (360, 480, 3)."""
    return noise_texture(size=(480, 360), seed=1)


@pytest.fixture(scope="session")
def other_texture() -> np.ndarray:
    """A picture that has nothing to do with ``texture``."""
    return noise_texture(size=(480, 360), seed=2)


AFFINE = np.array([[0.95, -0.26, 60.0], [0.24, 0.98, -35.0]])
"""Maps a pixel of the picture to the warped one's; the centre of the top-left pixel is (0.5, 0.5) in both."""


@pytest.fixture(scope="session")
def warped(texture: np.ndarray) -> np.ndarray:
    """The ``texture``, turned and sheared by ``AFFINE``."""
    half = np.array([0.5, 0.5])
    opencv = AFFINE.copy()
    opencv[:, 2] += AFFINE[:, :2] @ half - half
    return cv2.warpAffine(texture, opencv, (480, 360), flags=cv2.INTER_CUBIC, borderValue=(127, 127, 127))


@pytest.fixture(scope="session")
def affine() -> np.ndarray:
    """The (2, 3) map from ``texture`` to ``warped``."""
    return AFFINE


@pytest.fixture(scope="session")
def extracted(
    texture: np.ndarray, warped: np.ndarray, other_texture: np.ndarray
) -> Callable[[str], tuple[Features, ...]]:
    """Return a function from an extractor's name to the features of ``texture``, ``warped`` and ``other_texture``."""

    @functools.cache
    def extract(name: str) -> tuple[Features, ...]:
        config = ExtractConfig(extractor=name, max_keypoints=800)
        return tuple(create_extractor(name).extract(image, config=config) for image in (texture, warped, other_texture))

    return extract


@pytest.fixture(scope="session")
def scattered() -> Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]:
    """Return a function: a generator and a count → places within 480 px, and descriptors of length one that differ."""

    def make(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        places = rng.uniform(5, 470, (count, 2))
        descriptors = rng.normal(size=(count, 128))
        return places, (descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)).astype(np.float16)

    return make


@pytest.fixture(scope="session")
def make_features() -> Callable[..., Features]:
    """Return a function that makes features from keypoints and descriptors."""

    def make(
        keypoints: np.ndarray,
        descriptors: np.ndarray,
        *,
        scales: np.ndarray | None = None,
        orientations: np.ndarray | None = None,
        image_size: tuple[int, int] = (640, 480),
    ) -> Features:
        count = len(keypoints)
        return Features(
            keypoints=np.asarray(keypoints, np.float32).reshape(-1, 2),
            scales=np.ones(count, np.float32) if scales is None else scales,
            orientations=np.zeros(count, np.float32) if orientations is None else orientations,
            scores=np.linspace(1, 0.5, count, dtype=np.float32),
            descriptors=descriptors,
            colors=np.zeros((count, 3), np.uint8),
            image_size=image_size,
        )

    return make


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of what the authors' own implementations gave for seeded weights."""
    folder = os.environ.get("RECONFLOW_GOLDEN")
    if not folder:
        pytest.skip("RECONFLOW_GOLDEN names no folder of golden files")
    return Path(folder)


@pytest.fixture(scope="session")
def seeded_state(golden: Path) -> Callable[[Mapping[str, Sequence[int]]], dict[str, np.ndarray]]:
    """Return the function that made the weights of the golden files, from tensor names and shapes."""
    spec = importlib.util.spec_from_file_location("seeded_weights", golden / "seeded_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.seeded_state


@pytest.fixture(scope="session")
def superpoint_state() -> dict:
    """Seeded tensors in Magic Leap's layout, an eighth as wide, so that tests take seconds."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(5)
    widths = {"1": (1, 8), "2": (8, 8), "3": (8, 16), "4": (16, 16), "P": (16, 32), "D": (16, 32)}
    state = {}
    for block, (before, after) in widths.items():
        last = {"P": (65, 1), "D": (256, 1)}.get(block, (after, 3))
        for layer, (out, into, side) in {"a": (after, before, 3), "b": (last[0], after, last[1])}.items():
            spread = 2.0 / np.sqrt(into * side * side)
            state[f"conv{block}{layer}.weight"] = spread * torch.randn(out, into, side, side, generator=generator)
            state[f"conv{block}{layer}.bias"] = 0.1 * torch.randn(out, generator=generator)
    return state


@pytest.fixture(scope="session")
def superpoint_weights(superpoint_state, tmp_path_factory) -> Path:
    """A file of seeded weights in Magic Leap's layout."""
    import torch

    path = tmp_path_factory.mktemp("superpoint") / "superpoint_v1.pth"
    torch.save(superpoint_state, path)
    return path


@pytest.fixture(scope="session")
def twin_weights(small_state, tmp_path_factory) -> Path:
    """A checkpoint whose two decoders are the same, so that a photo matches itself."""
    twins = {"dec_blocks2.": "dec_blocks.", "downstream_head2.": "downstream_head1."}
    state = dict(small_state)
    for name in state:
        for second, first in twins.items():
            if name.startswith(second):
                state[name] = state[name.replace(second, first)]
    import torch

    path = tmp_path_factory.mktemp("mast3r") / "twins.pth"
    torch.save({"model": state}, path)
    return path


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def by_kornia():
    """Return a function: kornia's LightGlue and the features of two photos → its matches as a set of rows."""
    import torch

    def side(features: Features) -> dict[str, torch.Tensor]:
        return {
            "keypoints": torch.tensor(features.keypoints - 0.5)[None],
            "descriptors": torch.tensor(features.descriptors.astype(np.float32))[None],
            "image_size": torch.tensor([features.image_size]),
        }

    def matches(model: torch.nn.Module, a: Features, b: Features) -> set[tuple[int, int]]:
        with torch.inference_mode():
            return {tuple(row) for row in model({"image0": side(a), "image1": side(b)})["matches"][0].tolist()}

    return matches
