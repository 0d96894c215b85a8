import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("reconflow", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("reconflow")


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} names no folder")
    return Path(value)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photos with ground truth."""
    return _folder("RECONFLOW_TEST_DATA")


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of model weights."""
    return _folder("RECONFLOW_WEIGHTS")
