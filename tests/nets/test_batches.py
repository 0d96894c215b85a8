import pytest
import torch

from reconflow.nets.batches import BatchRunner, grouped


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
