from pathlib import Path

import pytest

from reconflow.config import PipelineConfig, load_config
from reconflow.pipeline.cluster import open_client
from reconflow.world.photos import make_sample


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
