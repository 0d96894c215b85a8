import numpy as np
import pytest

from reconflow.core.encodings import Encoding, Frame
from reconflow.core.images import ImageRecord
from reconflow.store.encodings import EncodingStore, encodings_namespace, read_encodings
from reconflow.store.root import open_root


def encoding(rows, columns, *, seed):
    rng = np.random.default_rng(seed)
    return Encoding(
        rng.normal(size=(rows * columns, 8)).astype(np.float16),
        (rows, columns),
        rng.integers(0, 256, (4 * rows, 4 * columns, 3), dtype=np.uint8),
        Frame((16 * columns, 16 * rows), (7.8125, 7.8 + 1 / 3), (0.0, 4.0)),
    )


@pytest.fixture
def record(tmp_path):
    """Return a function that makes the record of a photo."""
    from PIL import Image

    from reconflow.config import IngestConfig
    from reconflow.stages.ingest import ingest_image

    def make(name) -> ImageRecord:
        path = tmp_path / name
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
        return ingest_image(name, path, config=IngestConfig())

    return make


def test_encodings_of_all_shapes_come_back_as_they_were(tmp_path, record):
    root = open_root(str(tmp_path / "store"))
    made = [(record("a.png"), encoding(3, 4, seed=0)), (record("bb.png"), encoding(5, 2, seed=1))]
    store = EncodingStore(root, encodings_namespace("small 1"))
    refs = store.write(made)
    assert store.index() == refs
    found = read_encodings(root, refs.values())
    for photo, expected in made:
        again = found[refs[photo.sha256]]
        assert np.array_equal(again.tokens, expected.tokens)
        assert np.array_equal(again.colors, expected.colors)
        assert (again.grid, again.frame) == (expected.grid, expected.frame)


def test_another_encoder_has_another_namespace():
    assert encodings_namespace("small 1") != encodings_namespace("small 2")
