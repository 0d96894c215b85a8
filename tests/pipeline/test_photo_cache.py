import hashlib
import sys
import threading

import numpy as np
import pytest

from reconflow.config import load_config
from reconflow.core.encodings import Encoding, Frame
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.core.pairs import all_pairs
from reconflow.pipeline.cluster import placement
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.dispatch import Dispatcher
from reconflow.pipeline.events import ignore
from reconflow.pipeline.photo_cache import PhotoCache
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.sight import Seen, Sight
from reconflow.pipeline.stage_work import StageWork
from reconflow.stages.cameras import assign_cameras
from reconflow.store.encodings import EncodingStore, read_encodings
from reconflow.store.features import FeatureStore, read_features
from reconflow.store.root import open_root

PHOTOS = 60
NAMESPACE = "n" * 40


def made(seed, count=50):
    rng = np.random.default_rng(seed)
    return Features(
        keypoints=rng.random((count, 2), np.float32),
        scales=np.ones(count, np.float32),
        orientations=np.zeros(count, np.float32),
        scores=np.ones(count, np.float32),
        descriptors=rng.integers(0, 255, (count, 128), np.uint8),
        colors=np.zeros((count, 3), np.uint8),
        image_size=(640, 480),
    )


def encoded(seed):
    tokens = np.random.default_rng(seed).random((12, 8)).astype(np.float16)
    return Encoding(tokens, (3, 4), np.zeros((12, 16, 3), np.uint8), Frame((64, 48), (10.0, 10.0), (0.0, 0.0)))


def record(number):
    sha = hashlib.sha256(str(number).encode()).hexdigest()
    return ImageRecord(name=f"{number:03d}.jpg", path=f"{number}.jpg", sha256=sha, width=640, height=480)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store, and the places of the features of sixty photos."""
    root = open_root(str(tmp_path_factory.mktemp("store")))
    records = [record(number) for number in range(PHOTOS)]
    refs = FeatureStore(root, NAMESPACE).write([(each, made(number)) for number, each in enumerate(records)])
    return root, [refs[each.sha256] for each in records]


def test_what_is_at_hand_is_what_is_stored(stored):
    root, refs = stored
    cache = PhotoCache(1 << 20)
    assert cache.read(root, refs[:4], by=read_features)[1] == 4
    found, read = cache.read(root, refs[2:6], by=read_features)
    assert read == 2
    direct = read_features(root, refs[2:6])
    for ref in refs[2:6]:
        np.testing.assert_array_equal(found[ref].descriptors, direct[ref].descriptors)


def test_features_and_encodings_share_its_size(stored):
    root, refs = stored
    encodings = EncodingStore(root, NAMESPACE).write([(record(number), encoded(number)) for number in range(3)])
    places = [encodings[record(number).content] for number in range(3)]
    size = sys.getsizeof(encoded(0))
    cache = PhotoCache(3 * size + 100)
    assert cache.read(root, places, by=read_encodings)[1] == 3
    found, read = cache.read(root, places, by=read_encodings)
    assert read == 0
    np.testing.assert_array_equal(found[places[1]].tokens, encoded(1).tokens)
    cache.read(root, refs[:1], by=read_features)  # larger than all three
    assert cache.read(root, places, by=read_encodings)[1] == 3


def test_it_keeps_what_was_used_last_and_no_more_than_its_size(stored):
    root, refs = stored
    cache = PhotoCache(3 * sys.getsizeof(made(0)))
    cache.read(root, refs[:3], by=read_features)
    cache.read(root, refs[:1], by=read_features)
    cache.read(root, refs[3:4], by=read_features)  # in comes a fourth, out goes the second
    assert cache.read(root, [refs[0]], by=read_features)[1] == 0
    assert cache.read(root, [refs[1]], by=read_features)[1] == 1
    assert cache._size <= cache._capacity


def test_without_room_it_still_reads(stored):
    root, refs = stored
    cache = PhotoCache(0)
    for _ in range(2):
        found, read = cache.read(root, refs[:2], by=read_features)
        assert (len(found), read) == (2, 2)


def test_threads_may_share_it(stored):
    root, refs = stored
    cache = PhotoCache(5 * sys.getsizeof(made(0)))
    failed = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            chosen = [refs[i] for i in rng.choice(PHOTOS, 4, replace=False)]
            found, _ = cache.read(root, chosen, by=read_features)
            if set(found) != set(chosen):
                failed.append(chosen)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert cache._size <= cache._capacity


@pytest.mark.slow
def test_workers_of_a_run_find_four_of_five_at_hand(client, tmp_path):
    """Two hundred photos without anything in common, all pairs of them, on two workers; their counters are read."""
    root = open_root(str(tmp_path))
    records = [record(number) for number in range(200)]
    refs = FeatureStore(root, NAMESPACE).write([(each, made(n, count=16)) for n, each in enumerate(records)])
    config = load_config(overrides=["extract.extractor=sift", "match.matcher=adalam"])
    line = RunLine("at-hand")
    context = RunContext(str(tmp_path), config, {"sift": NAMESPACE}, "g" * 40, line)
    with Dispatcher(client, line, is_cancelled=lambda: False) as dispatcher:
        sight = Sight(StageWork(dispatcher, placement(client), ignore), root, context)
        seen = Seen({"sift": refs}, None)
        rig = assign_cameras(records, config=config.ingest)
        table = sight.match(records, all_pairs(len(records)), seen=seen, rig=rig)
    assert not table.failed
    assert table.count_stored() == len(table.pairs)
    assert table.asked > 3000
    assert table.read / table.asked < 0.2
