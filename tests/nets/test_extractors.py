"""The promises of every extractor: subclass :class:`ExtractorContract` for a new one."""

import pickle
import pkgutil
from concurrent.futures import ThreadPoolExecutor

import cv2
import msgspec
import numpy as np
import pytest

from reconflow.config import ExtractConfig
from reconflow.core.features import Features
from reconflow.nets.catalogue import WEIGHTS
from reconflow.nets.extraction import extract_many
from reconflow.nets.protocols import Extractor
from reconflow.nets.raster import grey_of
from reconflow.nets.registry import create_extractor


def same(a: Features, b: Features) -> bool:
    names = ("keypoints", "scales", "orientations", "scores", "descriptors", "colors")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def same_places(a: Features, b: Features) -> list[int]:
    """Return for each keypoint of ``a`` the row of ``b`` that is nearest in place and angle."""
    first, second = (np.column_stack([one.keypoints, one.orientations]) for one in (a, b))
    return [int(np.abs(second - own).sum(axis=1).argmin()) for own in first]


class ExtractorContract:
    """What holds for every extractor."""

    name = ""

    @pytest.fixture
    def extractor(self) -> Extractor:
        return create_extractor(self.name)

    @pytest.fixture
    def config(self) -> ExtractConfig:
        """What sees the textures as they are."""
        return ExtractConfig(extractor=self.name, max_keypoints=500, long_edge_px=480)

    def test_it_goes_by_its_registered_name(self, extractor):
        assert extractor.name == self.name

    def test_a_textured_picture_has_keypoints_inside_its_raster(self, extractor, config, texture):
        features = extractor.extract(texture, config=config)
        assert len(features) > 100
        assert features.image_size == (480, 360)
        assert features.keypoints.dtype == np.float32
        assert (features.keypoints >= 0).all()
        assert (features.keypoints <= features.image_size).all()
        assert (features.scales > 0).all()

    def test_angles_are_radians(self, extractor, config, texture):
        angles = extractor.extract(texture, config=config).orientations
        assert np.abs(angles).max() <= 2 * np.pi + 1e-6

    @pytest.mark.parametrize("count", [16, 100])
    def test_max_keypoints_keeps_the_strongest_first(self, extractor, texture, count):
        config = ExtractConfig(extractor=self.name, max_keypoints=count, long_edge_px=480)
        some = extractor.extract(texture, config=config)
        assert len(some) == count
        assert (np.diff(some.scores) <= 0).all()

    @pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 3), (8, 8), (16, 16), (17, 9), (32, 24)])
    def test_a_tiny_picture_is_no_error(self, extractor, config, size):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        features = extractor.extract(image, config=config)
        assert features.image_size == (size[1], size[0])

    @pytest.mark.parametrize("value", [0, 128, 255])
    def test_a_uniform_picture_has_no_keypoints(self, extractor, config, value):
        features = extractor.extract(np.full((200, 300, 3), value, np.uint8), config=config)
        assert len(features) == 0
        assert features.descriptors.shape[1] > 1

    def test_the_same_picture_gives_the_same_features(self, extractor, config, texture):
        assert same(extractor.extract(texture, config=config), extractor.extract(texture.copy(), config=config))

    def test_threads_do_not_disturb_each_other(self, extractor, config, texture, other_texture):
        pictures = [texture, other_texture] * 4
        alone = [extractor.extract(picture, config=config) for picture in pictures[:2]] * 4
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda picture: extractor.extract(picture, config=config), pictures))
        assert all(same(a, b) for a, b in zip(alone, together, strict=True))

    def test_it_survives_pickling(self, extractor, config, texture):
        again = pickle.loads(pickle.dumps(extractor))
        assert same(extractor.extract(texture, config=config), again.extract(texture, config=config))

    def test_a_large_picture_is_reduced_and_its_keypoints_are_given_in_its_own_pixels(self, extractor, config, texture):
        large = np.repeat(np.repeat(texture, 2, axis=0), 2, axis=1)
        reduced = extractor.extract(large, config=config)
        as_is = extractor.extract(texture, config=config)
        assert reduced.image_size == (960, 720)
        np.testing.assert_allclose(reduced.keypoints, 2 * as_is.keypoints, atol=1e-3)
        np.testing.assert_allclose(reduced.scales, 2 * as_is.scales, rtol=1e-5)
        assert np.array_equal(reduced.descriptors, as_is.descriptors)

    def test_photos_in_a_batch_have_the_features_they_have_alone(self, extractor, texture, other_texture):
        """Of three sizes, one of them twice as large as the network sees it, and one photo without any texture."""
        config = ExtractConfig(extractor=self.name, max_keypoints=400, long_edge_px=480)
        large = np.repeat(np.repeat(other_texture, 2, axis=0), 2, axis=1)
        plain = np.full_like(texture, 128)
        images = [texture, large, other_texture, texture[:200], plain, other_texture[::-1].copy(), large]
        together = extract_many(extractor, images, config=config)
        for image, found in zip(images, together, strict=True):
            alone = extractor.extract(image, config=config)
            assert (found.image_size, len(found)) == (alone.image_size, len(alone))
            np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-4)
            rows = same_places(found, alone)  # two of equal score may have changed places
            assert sorted(rows) == list(range(len(alone)))
            np.testing.assert_allclose(found.keypoints, alone.keypoints[rows], atol=1e-3)
            halves = 2.0**-10 if found.descriptors.dtype == np.float16 else 0  # the last bit may round the other way
            own, others = found.descriptors.astype(float), alone.descriptors[rows].astype(float)
            np.testing.assert_allclose(own, others, atol=1e-5, rtol=halves)
            assert np.array_equal(found.colors, alone.colors[rows])

    def test_colours_are_those_at_the_keypoints(self, extractor, config, texture):
        features = extractor.extract(texture, config=config)
        columns, rows = np.floor(features.keypoints).astype(int).T
        assert np.array_equal(features.colors, texture[rows, columns])


class TestSift(ExtractorContract):
    name = "sift"


class NetworkContract(ExtractorContract):
    """What holds for every extractor that is a network."""

    @pytest.mark.parametrize(("size", "times"), [((240, 180), 2), ((160, 120), 2), ((320, 240), 1.5)])
    def test_a_small_picture_is_enlarged_and_its_keypoints_are_given_in_its_own_pixels(
        self, extractor, config, texture, size, times
    ):
        grey = cv2.resize(grey_of(texture), size, interpolation=cv2.INTER_AREA)
        small = np.repeat(grey[:, :, None], 3, axis=2)  # some networks make a photo grey before it is enlarged
        large = cv2.resize(small, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        found = extractor.extract(small, config=config)
        in_large = extractor.extract(large, config=msgspec.structs.replace(config, enlarge=1.0))
        assert found.image_size == size
        gaps = np.abs(found.keypoints[:, None] - in_large.keypoints / times).max(axis=2)
        rows = gaps.argmin(axis=1)  # two of equal score may have changed places
        assert sorted(rows) == list(range(len(in_large)))
        assert gaps.min(axis=1).max() < 1e-3
        np.testing.assert_allclose(found.scales, in_large.scales / times, rtol=1e-5)
        np.testing.assert_allclose(found.descriptors, in_large.descriptors[rows], atol=2e-3)


@pytest.mark.usefixtures("weights")
class LearnedContract(NetworkContract):
    """What holds for every extractor with weights."""

    def test_descriptors_are_unit_vectors(self, extractor, config, texture):
        lengths = np.linalg.norm(extractor.extract(texture, config=config).descriptors.astype(np.float32), axis=1)
        np.testing.assert_allclose(lengths, 1, atol=2e-3)

    def test_other_weights_are_another_cache_key(self, extractor, tmp_path, monkeypatch, weights):
        before = extractor.made_with
        path = next(path for path in weights.rglob("*") if path.name in names_of(self.name))
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"x")
        monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
        assert extractor.made_with != before


def names_of(name: str) -> set[str]:
    return {file.name for file in WEIGHTS[name].files}


class TestAlikedT16(LearnedContract):
    name = "aliked-t16"


class TestAlikedN16(LearnedContract):
    name = "aliked-n16"


class TestAlikedN16Rot(LearnedContract):
    name = "aliked-n16rot"


class TestAlikedN32(LearnedContract):
    name = "aliked-n32"


class TestXFeat(LearnedContract):
    name = "xfeat"


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("name", "forward"),
    [
        ("aliked-t16", "reconflow.nets.lean_aliked.LeanAliked.batch"),
        ("xfeat", "kornia.feature.XFeat.detectAndCompute"),
    ],
)
def test_a_device_without_memory_costs_time_and_no_photo(name, forward, texture, monkeypatch):
    torch = pytest.importorskip("torch")
    extractor, config = create_extractor(name), ExtractConfig(extractor=name, max_keypoints=200)
    expected = extractor.extract(texture, config=config)
    plain, tries = pkgutil.resolve_name(forward), []

    def short_of_memory(*arguments, **options):
        tries.append(1)
        if len(tries) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(*arguments, **options)

    monkeypatch.setattr(forward, short_of_memory)
    assert same(extractor.extract(texture, config=config), expected)
    assert len(tries) == 3


class TestSuperPoint(NetworkContract):
    """With seeded weights: what holds for any."""

    name = "superpoint"

    @pytest.fixture
    def extractor(self, superpoint_weights) -> Extractor:
        from reconflow.nets.superpoint import SuperPoint

        return SuperPoint(file=superpoint_weights)
