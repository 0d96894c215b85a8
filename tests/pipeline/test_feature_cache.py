import hashlib
import sys
import threading

import numpy as np
import pytest

from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.core.pairs import all_pairs, tiles
from reconflow.pipeline.feature_cache import FeatureCache
from reconflow.store.features import FeatureStore, read_features
from reconflow.store.root import open_root

PHOTOS = 60


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


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store, and the places of the features of sixty photos."""
    root = open_root(str(tmp_path_factory.mktemp("store")))
    records = [record(number) for number in range(PHOTOS)]
    refs = FeatureStore(root, "n" * 40).write([(each, made(number)) for number, each in enumerate(records)])
    return root, [refs[each.sha256] for each in records]


def record(number):
    sha = hashlib.sha256(str(number).encode()).hexdigest()
    return ImageRecord(name=f"{number:03d}.jpg", path=f"{number}.jpg", sha256=sha, width=640, height=480)


def test_what_is_at_hand_is_what_is_stored(stored):
    root, refs = stored
    cache = FeatureCache(1 << 20)
    assert cache.read(root, refs[:4])[1] == 0
    found, at_hand = cache.read(root, refs[2:6])
    assert at_hand == 2
    direct = read_features(root, refs[2:6])
    for ref in refs[2:6]:
        np.testing.assert_array_equal(found[ref].descriptors, direct[ref].descriptors)


def test_it_keeps_what_was_used_last_and_no_more_than_its_size(stored):
    root, refs = stored
    cache = FeatureCache(3 * sys.getsizeof(made(0)))
    cache.read(root, refs[:3])
    cache.read(root, refs[:1])
    cache.read(root, refs[3:4])  # in comes a fourth, out goes the second
    assert cache.read(root, [refs[0]])[1] == 1
    assert cache.read(root, [refs[1]])[1] == 0
    assert cache._size <= cache._capacity


def test_without_room_it_still_reads(stored):
    root, refs = stored
    cache = FeatureCache(0)
    for _ in range(2):
        found, at_hand = cache.read(root, refs[:2])
        assert (len(found), at_hand) == (2, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_take_turns_at_tiles_find_most_features_at_hand(stored, workers):
    root, refs = stored
    caches = [FeatureCache(256 << 20) for _ in range(workers)]
    reads = hits = 0
    for turn, tile in enumerate(tiles(all_pairs(PHOTOS), 4)):
        members = {index for pair in tile for index in pair}
        found, at_hand = caches[turn % workers].read(root, [refs[index] for index in members])
        reads, hits = reads + len(found), hits + at_hand
    assert hits / reads > 0.8


def test_threads_may_share_it(stored):
    root, refs = stored
    cache = FeatureCache(5 * sys.getsizeof(made(0)))
    failed = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            chosen = [refs[i] for i in rng.choice(PHOTOS, 4, replace=False)]
            found, _ = cache.read(root, chosen)
            if set(found) != set(chosen):
                failed.append(chosen)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert cache._size <= cache._capacity
