"""The promises of every global descriptor: subclass :class:`GlobalDescriptorContract` for a new one."""

import pickle

import numpy as np
import pytest

from reconflow.nets.pooled import WhitenedPool, interleaved
from reconflow.nets.vlad import Vlad, rank_neighbours

PLACES, PHOTOS, WIDTH = 6, 4, 32


def local_descriptors(*, place, photo):
    """What 150 patches of a photo look like: most are seen at every place, the others at this one only."""
    kinds = np.random.default_rng(place).normal(size=(8, WIDTH))
    common = np.random.default_rng(99).normal(size=(8, WIDTH)) + 4.0
    rng = np.random.default_rng(1000 * place + photo)
    patches = np.concatenate([common[rng.integers(0, 8, 100)], kinds[rng.integers(0, 8, 50)]])
    return (patches + 0.3 * rng.normal(size=patches.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def photos():
    return [local_descriptors(place=place, photo=photo) for place in range(PLACES) for photo in range(PHOTOS)]


class GlobalDescriptorContract:
    """What holds for every global descriptor: give ``descriptor``, trained on ``photos``."""

    def test_a_photo_is_a_unit_vector(self, descriptor, photos):
        vector = descriptor.describe(photos[0])
        assert vector.dtype == np.float32
        assert vector.ndim == 1
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    def test_a_photo_without_anything_is_zeros(self, descriptor, photos):
        nothing = descriptor.describe(np.zeros((0, WIDTH), np.float32))
        assert nothing.shape == descriptor.describe(photos[0]).shape
        assert not nothing.any()

    def test_the_order_of_what_is_seen_does_not_matter(self, descriptor, photos):
        turned = descriptor.describe(photos[0][::-1])
        np.testing.assert_allclose(turned, descriptor.describe(photos[0]), atol=1e-5)

    def test_photos_of_one_place_are_more_alike_than_others(self, descriptor, photos):
        ranked = rank_neighbours([descriptor.describe(photo) for photo in photos], count=PHOTOS - 1)
        right = [i // PHOTOS == j // PHOTOS for i, found in enumerate(ranked) for j in found]
        assert np.mean(right) > 0.95

    def test_half_precision_will_do(self, descriptor, photos):
        rough = descriptor.describe(photos[0].astype(np.float16))
        assert rough @ descriptor.describe(photos[0]) > 0.999

    def test_it_survives_pickling(self, descriptor, photos):
        again = pickle.loads(pickle.dumps(descriptor))
        assert np.array_equal(again.describe(photos[0]), descriptor.describe(photos[0]))


class TestVlad(GlobalDescriptorContract):
    @pytest.fixture
    def descriptor(self, photos):
        return Vlad.trained(np.concatenate(photos), words=16, seed=0)


class TestWhitenedPool(GlobalDescriptorContract):
    @pytest.fixture
    def descriptor(self, photos):
        return WhitenedPool.trained(np.concatenate(photos))

    def test_whitening_is_what_tells_places_apart(self, descriptor, photos):
        plain = WhitenedPool(np.zeros(WIDTH, np.float32), np.eye(WIDTH, dtype=np.float32))
        gaps = []
        for pool in (plain, descriptor):
            vectors = np.array([pool.describe(photo) for photo in photos])
            alike = vectors @ vectors.T
            same = np.kron(np.eye(PLACES), np.ones((PHOTOS, PHOTOS))).astype(bool)
            gaps.append(alike[same & ~np.eye(len(photos), dtype=bool)].mean() - alike[~same].mean())
        assert gaps[1] > 3 * gaps[0]

    def test_few_tokens_of_many_channels_are_no_error(self, photos):
        vector = WhitenedPool.trained(photos[0][:3]).describe(photos[1])
        assert np.isfinite(vector).all()

    def test_no_sample_is_refused(self):
        with pytest.raises(ValueError, match="at least one token"):
            WhitenedPool.trained(np.zeros((0, WIDTH)))


def test_rankings_take_turns():
    assert interleaved([[5, 1, 2], [1, 7]]) == [5, 1, 7, 2]
    assert interleaved([]) == []
