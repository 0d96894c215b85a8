"""The task that matches a tile, with matchers that are told what to find and where to fail."""

import hashlib
import itertools
import threading
import time

import msgspec
import numpy as np
import pytest

from reconflow.config import load_config
from reconflow.core.cameras import Camera
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.core.matches import Matches
from reconflow.core.pairs import all_pairs
from reconflow.errors import StoreError
from reconflow.nets.methods import Method
from reconflow.pipeline import matching, tile_task
from reconflow.pipeline.control import RunLine
from reconflow.pipeline.matching import ReadyMethod
from reconflow.pipeline.overlap import overlapped
from reconflow.pipeline.pair_table import PairTable
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.work_items import TileImage, TilePair, match_task
from reconflow.store.features import FeatureStore
from reconflow.store.geometries import GeometryStore, StoredPair, incomplete_key, pair_key
from reconflow.store.packs import ItemRef
from reconflow.store.root import open_root

SIZE = (640, 480)
CAMERA = Camera.from_focal("SIMPLE_RADIAL", *SIZE, 600.0, prior=True)
POINTS = 60
PHOTOS = 5
PAIRS = all_pairs(PHOTOS)
PATIENCE_S = 10
SAME = Matches(np.repeat(np.arange(POINTS, dtype=np.int32), 2).reshape(-1, 2))


def views():
    """Points seen by cameras in a row: keypoint k of every photo is point k."""
    points = np.random.default_rng(0).uniform((-2, -1.5, 4), (2, 1.5, 8), (POINTS, 3))
    for number in range(PHOTOS):
        seen = points - (0.3 * number, 0, 0)
        yield (seen[:, :2] / seen[:, 2:] * 600 + np.array(SIZE) / 2).astype(np.float32)


def features(keypoints, number):
    ones = np.ones(len(keypoints), np.float32)
    descriptors, colors = np.zeros((len(keypoints), 4), np.uint8), np.zeros((len(keypoints), 3), np.uint8)
    return Features(keypoints, ones, 0 * ones, number * ones, descriptors, colors, SIZE)


class Pairwise:
    """Takes pairs one by one and gives what is right."""

    name = made_with = "mnn"
    acceptance_inliers = 20

    def match(self, a, b, *, config):
        return SAME


class Tilewise:
    """Takes tiles, in batches of four and from the last pair to the first, and fails for some pairs.

    ``fails`` names pairs at which the device fails, and with it the batch; ``spoils`` those that fail afterwards.
    """

    name = made_with = "lighterglue"
    acceptance_inliers = 20
    encoder = ""

    def __init__(self, fails=(), spoils=(), error=None):
        self.fails, self.spoils = fails, spoils
        self.error = error or RuntimeError("CUDA error: out of order")
        self.asked = []

    def match_tile(self, views, pairs, *, config):
        places = list(range(len(pairs)))[::-1]
        for start in range(0, len(places), 4):
            batch = places[start : start + 4]
            names = [tuple(int(views[index].features.scores[0]) for index in pairs[place]) for place in batch]
            self.asked.append(names)
            if set(names) & set(self.fails):
                raise self.error
            for place, name in zip(batch, names, strict=True):
                yield place, lambda name=name: self._finish(name)

    def _finish(self, name):
        if name in self.spoils:
            raise self.error
        return SAME


@pytest.fixture
def tile(tmp_path):
    """A context and a task of all pairs of five photos, whose scores are their number."""
    root = open_root(str(tmp_path))
    records = [
        ImageRecord(name=f"{n}.jpg", path="", sha256=hashlib.sha256(bytes([n])).hexdigest(), width=640, height=480)
        for n in range(PHOTOS)
    ]
    made = [features(keypoints, number) for number, keypoints in enumerate(views())]
    namespace = "f" * 40
    refs = FeatureStore(root, namespace).write(list(zip(records, made, strict=True)))
    images = [TileImage(record.name, (refs[record.content],), CAMERA) for record in records]
    task = match_task(images, [TilePair(f"{a}{b}".rjust(32, "0"), a, b) for a, b in PAIRS])
    config = load_config(overrides=["match.coarse_keypoints=0"])  # descriptors that say nothing
    context = RunContext(str(tmp_path), config, {"sift": namespace}, "g" * 40, RunLine("test"))
    return task, context


@pytest.fixture
def match(tile, monkeypatch):
    """Return a function that matches the tile with matchers, each a method of its own on the same features."""

    def run(*matchers, task=tile[0]):
        ready = tuple(ReadyMethod(Method(("xfeat",), one.name), one, 0) for one in matchers)
        monkeypatch.setattr(tile_task, "ready_methods", lambda *_: ready)
        return tile_task.match(task, tile[1])

    return run


def key(pair):
    return f"{pair[0]}{pair[1]}".rjust(32, "0")


def test_every_pair_is_matched_and_kept_in_the_order_of_the_task(match, tile):
    found = match(Tilewise())
    assert not found.failed
    assert list(found.pairs) == [key(pair) for pair in PAIRS]
    assert [pair.ref.row for pair in found.pairs.values()] == list(range(len(PAIRS)))
    assert all(pair.verified and pair.inliers == POINTS for pair in found.pairs.values())


def test_a_pair_at_which_the_device_fails_costs_itself_and_nothing_else(match):
    matcher = Tilewise(fails=[(0, 3)])
    found = match(matcher)
    assert found.failed == {key((0, 3)): "xfeat+lighterglue: RuntimeError: CUDA error: out of order"}
    assert set(found.pairs) == {key(pair) for pair in PAIRS} - {key((0, 3))}
    assert len(matcher.asked[0]) == 4  # those of the first batch are not made twice
    assert sum(name in asked for asked in matcher.asked for name in matcher.asked[0]) == 4


def test_a_device_without_room_for_a_single_pair_fails_that_pair_alone(match):
    torch = pytest.importorskip("torch")
    found = match(Tilewise(fails=[(1, 2)], error=torch.OutOfMemoryError("CUDA out of memory")))
    assert list(found.failed) == [key((1, 2))]
    assert len(found.pairs) == len(PAIRS) - 1


def test_a_pair_that_fails_on_the_cpu_fails_for_itself(match):
    found = match(Tilewise(spoils=[(0, 1), (2, 4)]))
    assert set(found.failed) == {key((0, 1)), key((2, 4))}
    assert len(found.pairs) == len(PAIRS) - 2


def test_what_other_methods_found_counts_in_this_run_and_the_pair_is_tried_again_in_the_next(match, tile):
    found = match(Pairwise(), Tilewise(fails=[(0, 3)]))
    assert found.failed == {key((0, 3)): "xfeat+lighterglue: RuntimeError: CUDA error: out of order"}
    assert len(found.pairs) == len(PAIRS)
    assert found.pairs[key((0, 3))].verified
    assert [k for k, pair in found.pairs.items() if not pair.complete] == [key((0, 3))]
    index = GeometryStore(open_root(tile[1].store), tile[1].geometries).index()
    assert key((0, 3)) not in index
    assert not index[incomplete_key(key((0, 3)))].complete
    assert all(pair.complete for k, pair in index.items() if k in {key(pair) for pair in PAIRS})


def test_what_concerns_the_run_ends_the_task(match):
    with pytest.raises(StoreError):
        match(Tilewise(fails=[(0, 3)], error=StoreError("the store is gone")))


def test_models_are_not_kept_under_the_key_of_pairs_that_are_complete(tile):
    task, _ = tile
    names = [f"{number:064d}" for number in range(PHOTOS)]
    keys = {}
    for complete in (True, False):
        stored = {pair_key(names[0], names[1]): StoredPair(ItemRef("p", 0), 9, 9, "CALIBRATED", True, "", complete)}
        keys[complete] = [found[3] for found in PairTable([(0, 1)], task.images, names, stored).verified()]
    assert keys[True] == [pair_key(names[0], names[1])]
    assert keys[False] not in (keys[True], [])


class Verifications:
    """Remembers the threads that verify, and says when the first and the second verification began."""

    def __init__(self):
        self.threads, self.began = [], (threading.Event(), threading.Event())

    def begin(self):
        self.threads.append(threading.current_thread().name)
        for event in self.began[: len(self.threads)]:
            event.set()


@pytest.fixture
def verifications(monkeypatch):
    seen, plain = Verifications(), matching.verify_pair

    def watched(*arguments, **options):
        seen.begin()
        return plain(*arguments, **options)

    monkeypatch.setattr(matching, "verify_pair", watched)
    return seen


class Patient(Tilewise):
    """Goes on to its second pair when the first is being verified; ``beside`` tells whether that came to be."""

    def __init__(self, verifications, **options):
        super().__init__(**options)
        self._first_began, _ = verifications.began
        self.beside = True

    def match_tile(self, views, pairs, *, config):
        for number, step in enumerate(super().match_tile(views, pairs, config=config)):
            self.beside &= number == 0 or self._first_began.wait(PATIENCE_S)
            yield step


def test_pairs_are_verified_while_a_gpu_matches_the_next(match, verifications, monkeypatch):
    monkeypatch.setattr(tile_task, "on_gpu", lambda **_: True)
    matcher = Patient(verifications, fails=[(0, 3)])
    found = match(matcher)
    assert matcher.beside
    assert list(found.failed) == [key((0, 3))]
    assert list(found.pairs) == [key(pair) for pair in PAIRS if pair != (0, 3)]


def test_several_threads_verify_beside_a_gpu(match, verifications, monkeypatch):
    monkeypatch.setattr(tile_task, "on_gpu", lambda **_: True)
    begin, (_, second_began) = verifications.begin, verifications.began

    def begin_and_wait_for_another():
        begin()
        assert second_began.wait(PATIENCE_S)

    verifications.begin = begin_and_wait_for_another
    assert not match(Tilewise()).failed
    assert len(set(verifications.threads)) > 1


def test_a_worker_for_cores_keeps_to_its_one_thread(match, verifications):
    found = match(Tilewise())
    assert len(found.pairs) == len(PAIRS)
    assert set(verifications.threads) == {threading.current_thread().name}


def test_a_gpu_worker_reads_ahead_for_its_next_tile(match, tile, monkeypatch):
    monkeypatch.setattr(tile_task, "on_gpu", lambda **_: True)
    task, _ = tile
    cut = [pair for pair in task.pairs if max(pair.first, pair.second) < 3]
    first = msgspec.structs.replace(match_task(task.images, cut), then=task.images[3:])
    outcomes = [match(Tilewise(), task=one) for one in (first, task)]
    assert [(outcome.asked, outcome.read) for outcome in outcomes] == [(3, 5), (5, 0)]


def test_an_error_of_what_is_done_beside_the_device_ends_everything():
    def failing():
        raise StoreError("gone")

    begun = []
    calls = itertools.chain([failing], (lambda n=n: begun.append(n) for n in range(1000)))
    with pytest.raises(StoreError), overlapped(calls, threads=2) as results:
        list(results)
    assert len(begun) < 1000


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_calls(threads):
    pauses = np.random.default_rng(0).uniform(0, 0.004, 150)
    calls = (lambda n=n, pause=pause: (time.sleep(pause), n)[1] for n, pause in enumerate(pauses))
    with overlapped(calls, threads=threads) as results:
        assert list(results) == list(range(150))
