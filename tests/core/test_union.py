import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.core.features import Features
from reconflow.core.union import SAME_PLACE_PX, unite


def photo(keypoints, *, width=8, size=(200, 100)) -> Features:
    keypoints = np.asarray(keypoints, np.float32).reshape(-1, 2)
    count = len(keypoints)
    return Features(
        keypoints=keypoints,
        scales=np.ones(count, np.float32),
        orientations=np.zeros(count, np.float32),
        scores=np.arange(count, dtype=np.float32),
        descriptors=np.zeros((count, width), np.float16),
        colors=np.full((count, 3), width, np.uint8),
        image_size=size,
    )


def test_a_single_extractor_is_its_own_union():
    features = photo([[1, 2], [3, 4]])
    united = unite([features])
    assert united.features is features
    assert united.rows[0].tolist() == [0, 1]


def test_keypoints_of_another_extractor_within_a_pixel_are_one():
    united = unite([photo([[10, 10], [50, 50]]), photo([[50.6, 50.6], [10, 11.5], [90, 90]], width=4)])
    assert united.rows[1].tolist() == [1, 2, 3]
    assert united.features.keypoints.tolist() == [[10, 10], [50, 50], [10, 11.5], [90, 90]]
    assert united.features.colors[:, 0].tolist() == [8, 8, 4, 4]
    assert united.features.descriptors.shape == (4, 0)


def test_keypoints_of_one_extractor_are_never_fused():
    united = unite([photo([[10, 10], [10, 10]]), photo([[60, 60], [60.2, 60]])])
    assert len(united.features) == 4


@pytest.mark.parametrize("empty", [0, 1])
def test_an_extractor_that_found_nothing_adds_nothing(empty):
    parts = [photo([[10, 10]]), photo([[40, 40]])]
    parts[empty] = photo([])
    united = unite(parts)
    assert len(united.features) == 1
    assert len(united.rows[empty]) == 0


def test_photos_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="of one photo"):
        unite([photo([[1, 1]]), photo([[1, 1]], size=(100, 200))])


places = st.lists(st.tuples(st.floats(0, 20, width=32), st.floats(0, 20, width=32)), max_size=12)


@given(st.lists(places, min_size=1, max_size=3))
def test_every_keypoint_lies_within_a_pixel_of_its_row(keypoints):
    united = unite([photo(some) for some in keypoints])
    for part, rows in zip(united.parts, united.rows, strict=True):
        gaps = np.linalg.norm(united.features.keypoints[rows] - part.keypoints, axis=1)
        assert (gaps <= SAME_PLACE_PX + 1e-5).all()
    assert set(np.concatenate(united.rows)) == set(range(len(united.features)))
