"""The task that extracts features, with an extractor that is told where to fail."""

import hashlib
import threading
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from reconflow.config import load_config
from reconflow.core.encodings import Encoding, Frame
from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.errors import Cancelled, DependencyError, StoreError
from reconflow.nets.batches import batch_runner
from reconflow.pipeline import tasks
from reconflow.pipeline.control import RunLine, TaskControl
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.work_items import extract_task
from reconflow.store.encodings import read_encodings
from reconflow.store.features import read_features
from reconflow.store.root import open_root

WIDE, TALL = (64, 48), (48, 64)
SIZES = [WIDE, WIDE, TALL, WIDE, TALL, WIDE, WIDE, TALL]


class Told:
    """Takes batches; knows a photo by its grey value, and remembers what it was asked and how large it was."""

    name = made_with = "xfeat"

    def __init__(self, fails=(), room=100, error=None):
        self.fails, self.room, self.error = fails, room, error or RuntimeError("CUDA error")
        self.asked = []

    def extract(self, image, *, config):
        return self._made([image])[0]

    def extract_batch(self, images, *, config):
        return self._made(images)

    def _made(self, images):
        numbers = [int(image[0, 0, 0]) // 10 for image in images]
        self.asked.append((numbers, {image.shape for image in images}))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if set(numbers) & set(self.fails):
            raise self.error
        return [features(number, image.shape[1::-1]) for number, image in zip(numbers, images, strict=True)]


def features(number, size):
    ones, place = np.ones(1, np.float32), np.full((1, 2), number, np.float32)
    return Features(place, ones, 0 * ones, ones, np.zeros((1, 4), np.uint8), np.zeros((1, 3), np.uint8), size)


@pytest.fixture
def photos(tmp_path):
    """Eight photos of two sizes; the grey value of number n is 10 n."""
    records = []
    for number, (width, height) in enumerate(SIZES):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((height, width, 3), 10 * number, np.uint8)).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        records.append(ImageRecord(name=path.name, path=str(path), sha256=digest, width=width, height=height))
    return records


@pytest.fixture
def extract(tmp_path, photos, monkeypatch):
    """Return a function that does the task with an extractor, on a worker that sees a GPU or none."""
    context = RunContext(str(tmp_path / "store"), load_config(), {"xfeat": "f" * 40}, "", RunLine("test"))

    def run(extractor, *, gpu, images=photos):
        batch_runner.cache_clear()
        monkeypatch.setattr(tasks, "on_gpu", lambda **_: gpu)
        monkeypatch.setattr(tasks, "extractor", lambda _: extractor)
        outcome = tasks.extract(extract_task(images, "xfeat"), context)
        stored = read_features(open_root(context.store), list(outcome.refs.values()))
        places = {sha: float(stored[ref].keypoints[0, 0]) for sha, ref in outcome.refs.items()}
        numbers = {photo.name: places[photo.content] for photo in images if photo.content in places}
        return numbers, outcome

    return run


def all_but(*failed):
    return {f"{number}.png": number for number in range(len(SIZES)) if number not in failed}


def test_a_gpu_takes_photos_of_one_size_together_and_each_has_its_own_features(extract):
    told = Told()
    numbers, outcome = extract(told, gpu=True)
    assert [numbers for numbers, _ in told.asked] == [[0, 1, 3, 5, 6], [2, 4, 7]]
    assert numbers == all_but()
    assert [ref.row for ref in outcome.refs.values()] == list(range(8))


def test_photos_that_lie_go_with_those_that_have_their_size_upright(extract, photos):
    told = Told()
    some = [photos[0], msgspec.structs.replace(photos[2], quarters=1), photos[4]]
    assert extract(told, gpu=True, images=some)[1].failed == {}
    assert [numbers for numbers, _ in told.asked] == [[0, 2], [4]]
    assert [len(shapes) for _, shapes in told.asked] == [1, 1]


def test_cores_take_one_photo_after_the_other(extract):
    told = Told()
    assert extract(told, gpu=False)[0] == all_but()
    assert [len(numbers) for numbers, _ in told.asked] == [1] * 8


def test_batches_halve_where_memory_runs_out_and_no_photo_is_lost(extract):
    told = Told(room=2)
    assert extract(told, gpu=True)[0] == all_but()
    assert [len(numbers) for numbers, _ in told.asked] == [5, 2, 2, 1, 3, 1, 1, 1]


def test_a_photo_that_fails_costs_itself_and_nothing_of_its_batch(extract):
    numbers, outcome = extract(Told(fails=[3]), gpu=True)
    assert numbers == all_but(3)
    assert outcome.failed == {"3.png": "RuntimeError: CUDA error"}


@pytest.mark.parametrize("gpu", [True, False])
def test_a_photo_that_cannot_be_read_is_told_and_the_others_are_there(extract, photos, gpu):
    (broken,) = [photo for photo in photos if photo.name == "5.png"]
    Path(broken.path).write_bytes(b"no photo")
    numbers, outcome = extract(Told(), gpu=gpu)
    assert numbers == all_but(5)
    assert list(outcome.failed) == ["5.png"]


def test_what_concerns_the_run_ends_the_task(extract):
    with pytest.raises(StoreError):
        extract(Told(fails=[3], error=StoreError("the store is gone")), gpu=True)


@pytest.mark.parametrize("body", [tasks.extract, tasks.encode])
def test_a_network_on_a_worker_whose_gpu_torch_cannot_use_ends_the_run(body, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(TaskControl, "has_gpu", True)
    monkeypatch.setattr("reconflow.nets.devices.trouble_with_cuda", lambda: "the driver is too old")
    context = RunContext(str(tmp_path / "store"), load_config(), {"xfeat": "f" * 40}, "", RunLine("test"))
    with pytest.raises(DependencyError, match="a worker offers a GPU that torch cannot use there"):
        body(extract_task(photos, "xfeat"), context)


@pytest.mark.parametrize("gpu", [True, False])
def test_photos_to_encode_are_read_by_several_threads_beside_a_gpu(photos, tmp_path, monkeypatch, gpu):
    plain, readers, encoded = tasks.read_image, set(), []
    together = threading.Barrier(2 if gpu else 1, timeout=10)

    def noted(path):
        readers.add(threading.current_thread().name)
        together.wait()
        return plain(path)

    def encode(images):
        encoded.extend(int(image[0, 0, 0]) // 10 for image in images)
        raise RuntimeError("seen enough")

    monkeypatch.setattr(tasks, "read_image", noted)
    monkeypatch.setattr(tasks, "on_gpu", lambda **_: gpu)
    monkeypatch.setattr(tasks, "encoder", lambda *_: SimpleNamespace(encode=encode))
    context = RunContext(str(tmp_path / "store"), load_config(), {}, "", RunLine("test"), encodings={"any": "e" * 40})
    assert len(tasks.encode(extract_task(photos, "any"), context).failed) == len(photos)
    assert encoded == [*range(len(photos))] * 2  # together, then each alone
    assert (len(readers) > 1) == gpu


def test_a_photo_that_cannot_be_encoded_costs_itself_alone(photos, tmp_path, monkeypatch):
    def encode(images):
        numbers = [int(image[0, 0, 0]) // 10 for image in images]
        if 3 in numbers:
            raise RuntimeError("no room")
        tokens = [np.full((12, 8), number, np.float16) for number in numbers]
        raster, frame = np.zeros((12, 16, 3), np.uint8), Frame((64, 48), (10.0, 10.0), (0.0, 0.0))
        return [Encoding(one, (3, 4), raster, frame) for one in tokens]

    monkeypatch.setattr(tasks, "encoder", lambda *_: SimpleNamespace(encode=encode))
    context = RunContext(str(tmp_path / "store"), load_config(), {}, "", RunLine("test"), encodings={"any": "e" * 40})
    outcome = tasks.encode(extract_task(photos, "any"), context)
    assert outcome.failed == {"3.png": "RuntimeError: no room"}
    stored = read_encodings(open_root(context.store), list(outcome.refs.values()))
    found = {sha: int(stored[ref].tokens[0, 0]) for sha, ref in outcome.refs.items()}
    assert found == {photo.content: number for number, photo in enumerate(photos) if number != 3}


def test_threads_beside_a_gpu_end_with_the_task_that_began_them(photos, tmp_path, monkeypatch):
    checks = iter([None, Cancelled("the run was cancelled")])

    def check(_):
        if error := next(checks):
            raise error

    monkeypatch.setattr(tasks, "on_gpu", lambda **_: True)
    monkeypatch.setattr(TaskControl, "check", check)
    context = RunContext(str(tmp_path / "store"), load_config(), {}, "", RunLine("test"), encodings={"any": "e" * 40})
    with pytest.raises(Cancelled) as ended:
        tasks.encode(extract_task(photos, "any"), context)
    assert ended.tb is not None  # which keeps all that the task held
    assert not [one for one in threading.enumerate() if one.name.startswith("beside-gpu")]


def test_photos_are_read_while_a_gpu_works(extract, monkeypatch):
    plain, begun, met = tasks.read_image, threading.Event(), []

    def noted(path):
        if Path(path).name == "7.png":  # of the second batch
            begun.set()
        return plain(path)

    class Waiting(Told):
        def extract_batch(self, images, *, config):
            met.append(begun.wait(timeout=10))
            return super().extract_batch(images, config=config)

    monkeypatch.setattr(tasks, "read_image", noted)
    assert extract(Waiting(), gpu=True)[0] == all_but()
    assert met == [True, True]
