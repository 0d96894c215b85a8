"""Scenes with known poses, and submissions made from them by a known fault."""

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from reconflow.core.cameras import Pose
from reconflow.core.submission import PoseRow

Rows = list[PoseRow]


def _row(scene: str, image: str, rotation: np.ndarray, center: np.ndarray, dataset: str = "made") -> PoseRow:
    pose = Pose(rotation, -rotation @ center)
    return PoseRow(dataset=dataset, scene=scene, image=image, cam_from_world=pose)


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Rows]:
    """Return ``make(scene, count, seed)``: posed photos of one scene at random places, a few units apart."""

    def make(scene: str, count: int, seed: int = 0) -> Rows:
        rng = np.random.default_rng([seed, *scene.encode()])
        rotations = Rotation.random(count, random_state=seed + 1).as_matrix()
        centers = rng.normal(size=(count, 3)) * [4.0, 3.0, 1.0]
        return [_row(scene, f"{scene}{i:03d}.jpg", rotations[i], centers[i]) for i in range(count)]

    return make


@pytest.fixture(scope="session")
def moved() -> Callable[..., Rows]:
    """Return ``moved(rows, seed)``: the same cameras in a world scaled, turned and shifted at random."""

    def move(rows: Sequence[PoseRow], seed: int = 0) -> Rows:
        rng = np.random.default_rng(seed)
        turn = Rotation.random(random_state=seed).as_matrix()
        scale, shift = float(np.exp(rng.uniform(-3, 3))), rng.normal(size=3) * 10
        out = []
        for row in rows:
            pose = row.cam_from_world
            if pose is None:
                out.append(row)
                continue
            center = scale * turn @ pose.center_in_world + shift
            out.append(_row(row.scene, row.image, pose.rotation @ turn.T, center, row.dataset))
        return out

    return move


@pytest.fixture(scope="session")
def disturbed() -> Callable[..., Rows]:
    """Return ``disturbed(rows, seed, noise)``: noise on all centres, a fifth lost, a tenth thrown away."""

    def disturb(rows: Sequence[PoseRow], seed: int = 0, noise: float = 0.02) -> Rows:
        rng = np.random.default_rng(seed)
        out = []
        for row in rows:
            pose, chance = row.cam_from_world, rng.random()
            if pose is None or chance < 0.2:
                out.append(PoseRow(dataset=row.dataset, scene=row.scene, image=row.image))
                continue
            center = pose.center_in_world + rng.normal(size=3) * (8 if chance < 0.3 else noise)
            out.append(_row(row.scene, row.image, pose.rotation, center, row.dataset))
        return out

    return disturb


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real photos' truth files."""
    folder = os.environ.get("RECONFLOW_TEST_DATA")
    if not folder:
        pytest.skip("RECONFLOW_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def reference(data: Path) -> ModuleType:
    """Return the independent implementation of the metric that lies beside the real photos."""
    path = data.parent / "tools" / "imc2025_score.py"
    if not path.is_file():
        pytest.skip(f"the reference implementation {path.name} is not beside the data")
    spec = importlib.util.spec_from_file_location("imc2025_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
