import hashlib

import numpy as np
import pytest

from reconflow.config import PipelineConfig
from reconflow.core.encodings import Encoding, Frame
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.retrieval import retrieve
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.work_items import RetrieveTask
from reconflow.store.encodings import EncodingStore
from reconflow.store.features import FeatureStore
from reconflow.store.root import open_root

PHOTOS = 8


def of(number, partners, *, rows, width):
    """Local descriptors that a photo shares with its partner, under noise of its own."""
    shared = np.random.default_rng(min(number, partners(number))).normal(size=(rows, width))
    return shared + 0.1 * np.random.default_rng(100 + number).normal(size=(rows, width))


def neighbour(number):
    return number ^ 1


def opposite(number):
    return (number + PHOTOS // 2) % PHOTOS


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Photos that are alike by features with one other photo, by encodings with another one."""
    return write(str(tmp_path_factory.mktemp("store")), keypoints=60, grid=(4, 4), width=32)


def write(url, *, keypoints, grid, width):
    root, tokens_each = open_root(url), grid[0] * grid[1]
    records = [
        ImageRecord(
            name=f"{number}.jpg",
            path="",
            sha256=hashlib.sha256(bytes([number])).hexdigest(),
            width=64,
            height=64,
        )
        for number in range(PHOTOS)
    ]
    features, encodings = [], []
    for number, record in enumerate(records):
        descriptors = np.clip(128 + 40 * of(number, neighbour, rows=keypoints, width=128), 0, 255).astype(np.uint8)
        plain = np.ones(keypoints, np.float32)
        colors = np.zeros((keypoints, 3), np.uint8)
        features.append(
            (record, Features(np.ones((keypoints, 2), np.float32), plain, plain, plain, descriptors, colors, (64, 64)))
        )
        tokens = of(number, opposite, rows=tokens_each, width=width).astype(np.float16)
        frame = Frame((64, 64), (1.0, 1.0), (0.0, 0.0))
        encodings.append((record, Encoding(tokens, grid, np.zeros((16, 16, 3), np.uint8), frame)))
    places = FeatureStore(root, "f" * 40).write(features), EncodingStore(root, "e" * 40).write(encodings)
    return url, *(tuple(refs[record.sha256] for record in records) for refs in places)


def ranked(client, url, features, *encodings):
    context = RunContext(url, PipelineConfig(), {"sift": "f" * 40}, "", RunLine("retrieval"))
    task = RetrieveTask("retrieve", PHOTOS, features, encodings)
    return client.submit(retrieve, task, context, pure=False).result()


def test_features_rank_photos_by_appearance(client, stored):
    url, refs, _ = stored
    assert [found[0] for found in ranked(client, url, refs)] == [neighbour(i) for i in range(PHOTOS)]


def test_encodings_have_the_second_vote(client, stored):
    found = ranked(client, *stored)
    assert [one[:2] for one in found] == [[neighbour(i), opposite(i)] for i in range(PHOTOS)]
    assert all(sorted([*one, i]) == list(range(PHOTOS)) for i, one in enumerate(found))


def test_features_that_have_no_vote_are_left_out(client, stored):
    url, _, encodings = stored
    assert [found[0] for found in ranked(client, url, (), encodings)] == [opposite(i) for i in range(PHOTOS)]


def test_every_encoder_has_a_vote(client, stored):
    url, refs, encodings = stored
    nothing = (None,) * PHOTOS
    assert ranked(client, url, refs, encodings, nothing, encodings) == ranked(client, url, refs, encodings)


def test_a_photo_that_an_encoder_failed_on_is_ranked_by_the_others(client, stored):
    url, refs, encodings = stored
    found = ranked(client, url, refs, (None, *encodings[1:]))
    assert found[0][:2] == ranked(client, url, refs)[0][:2]
    assert [one[:2] for one in found[1:4]] == [[neighbour(i), opposite(i)] for i in range(1, 4)]
    assert 0 not in ranked(client, url, (), (None, *encodings[1:]))[opposite(0)]
    assert all(sorted([*one, i]) == list(range(PHOTOS)) for i, one in enumerate(found))


def test_what_is_stored_is_read_once_to_learn_from_and_once_to_rank(tmp_path, bytes_read):
    url, refs, encodings = write(str(tmp_path), keypoints=1000, grid=(16, 16), width=128)
    bytes_read()
    context = RunContext(url, PipelineConfig(), {"sift": "f" * 40}, "", RunLine("retrieval"))
    retrieve(RetrieveTask("retrieve", PHOTOS, refs, (encodings,)), context)
    payload = PHOTOS * (1000 * (128 + 5 * 4 + 3) + 16 * 16 * 128 * 2 + 16 * 16 * 3)
    assert bytes_read() <= 2 * 1.1 * payload
