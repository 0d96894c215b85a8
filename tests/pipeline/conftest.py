import os
import sys
from pathlib import Path

import pytest

from reconflow.config import PipelineConfig, load_config
from reconflow.pipeline.cluster import open_client
from reconflow.world.photos import make_sample

SIMULATED = Path(__file__).parent / "simulated_gpus"


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine, and the worker processes it starts, one with so many GPUs, of which some are visible.

    Its torch is built for a CUDA that the driver knows, unless another is named.
    """
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.syspath_prepend(SIMULATED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(SIMULATED), os.environ.get("PYTHONPATH")])))

    def make(gpus=None, *, visible=None, cuda_of_torch="13.0"):
        monkeypatch.setattr("reconflow.nets.devices.cuda_of_torch", lambda: cuda_of_torch)
        if gpus is not None:
            monkeypatch.setenv("SIMULATED_GPUS", str(gpus))
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    yield make
    for name in ("dask_cuda", "pynvml"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """Two small scenes, a stray and a corrupt file, rendered once."""
    return make_sample(
        tmp_path_factory.mktemp("sample"),
        scenes=("courtyard", "temple"),
        photos_per_scene=5,
        strays=1,
        corrupt=True,
        size=(640, 480),
    )


@pytest.fixture(scope="session")
def quick() -> PipelineConfig:
    """Settings that find enough in small renderings."""
    return load_config(overrides=["extract.max_keypoints=2000", "cloud.normals=false"])


@pytest.fixture(scope="module")
def client():
    with open_client(workers=2, gpus=0) as made:
        yield made


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"
