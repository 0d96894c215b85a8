import weakref

import pytest
import torch

from reconflow.nets.batches import BatchRunner, batch_runner, grouped
from reconflow.nets.devices import models


class Device:
    """A model on a device with room for so many items; remembers what it was asked."""

    def __init__(self, room):
        self.room = room
        self.asked = []

    def __call__(self, batch):
        self.asked.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * 10 for item in batch]


@pytest.mark.parametrize("room", [1, 2, 3, 8, 100])
def test_every_item_comes_through_in_order_however_little_fits(room):
    device = Device(room)
    assert BatchRunner(8).map(device, range(21)) == [item * 10 for item in range(21)]


def test_a_size_that_was_too_large_is_not_tried_again():
    device, runner = Device(room=3), BatchRunner(8)
    runner.map(device, range(20))
    assert [size for size in device.asked if size > 3] == [8, 4]
    device.asked.clear()
    runner.map(device, range(20))
    assert max(device.asked) == 2


def test_a_process_pays_once_for_a_size_of_a_model_that_is_too_large():
    device = Device(room=3)
    for _ in range(3):
        assert batch_runner("pays-once", (48, 32), 8).map(device, range(10)) == [item * 10 for item in range(10)]
    assert [size for size in device.asked if size > 3] == [8, 4]
    assert batch_runner("pays-once", (32, 48), 8).size == 8


def test_the_memory_of_a_batch_is_free_before_the_next_one_is_tried():
    """An error that is being handled holds the frames it went through, and they what the model had made so far."""

    class Tensor:
        pass

    left = []

    def model(batch):
        own = Tensor()
        left.append(weakref.ref(own))
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    def freed():
        assert left[-1]() is None
        told.append(len(left))

    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "empty_cache", freed)
        assert BatchRunner(4).map(model, [1, 2, 3]) == [1, 2, 3]
    assert told == [1]


def test_a_stream_gives_each_batch_when_it_is_made():
    device = Device(room=2)
    stream = BatchRunner(2).stream(device, range(6))
    assert next(stream) == 0
    assert device.asked == [2]


def test_an_item_that_does_not_fit_alone_is_tried_without_the_other_models():
    other = weakref.ref(models().get("another model", lambda: Device(room=1)))
    asked = []

    def model(batch):
        asked.append(len(batch))
        if other() or len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    assert BatchRunner(2).map(model, [1, 2, 3]) == [1, 2, 3]
    assert asked == [2, 1, 1, 1, 1]


def test_an_item_that_fits_nowhere_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        BatchRunner(4).map(Device(room=0), [1, 2])


def test_no_items_need_no_model():
    device = Device(room=1)
    assert BatchRunner(4).map(device, []) == []
    assert device.asked == []


def test_items_are_grouped_by_shape_and_none_is_lost():
    sizes = [(640, 480), (480, 640), (640, 480), (512, 512)]
    groups = grouped(sizes, key=lambda size: size)
    assert sorted(place for group in groups for place in group) == [0, 1, 2, 3]
    assert all(len({sizes[place] for place in group}) == 1 for group in groups)
