import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconflow.config import ExtractConfig
from reconflow.nets.sift import Sift, root_sift

CENTERS = np.array([(60.5, 50.25), (180.1, 70.7), (90.35, 170.9), (222.2, 190.0)])
SIGMA_PX = 6.0


def blobs(scale: int) -> np.ndarray:
    """Return a picture of Gaussian blobs at ``CENTERS`` × scale; the centre of the top-left pixel is (0.5, 0.5)."""
    y, x = np.mgrid[: 256 * scale, : 288 * scale] + 0.5
    value = np.full(x.shape, 60.0)
    for cx, cy in CENTERS * scale:
        value += 150 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (SIGMA_PX * scale) ** 2))
    return np.repeat(np.rint(value).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize(("scale", "tolerance_px"), [(1, 0.05), (2, 0.1), (4, 0.2), (8, 0.4)])
def test_a_blob_is_found_where_it_was_drawn_whatever_the_reduction(scale, tolerance_px):
    config = ExtractConfig(max_keypoints=200, long_edge_px=288)
    features = Sift().extract(blobs(scale), config=config)
    for center in CENTERS * scale:
        gaps = np.linalg.norm(features.keypoints - center, axis=1)
        nearest = gaps.argmin()
        assert gaps[nearest] < tolerance_px
        assert features.scales[nearest] == pytest.approx(SIGMA_PX * scale, rel=0.2)


def test_orientations_turn_from_x_towards_y(texture):
    config = ExtractConfig(max_keypoints=300)
    upright = Sift().extract(texture, config=config)
    quarter = Sift().extract(np.ascontiguousarray(np.rot90(texture, -1)), config=config)  # clockwise on the screen
    x, y = upright.keypoints.T
    turned = np.column_stack([360 - y, x])
    gaps = np.linalg.norm(turned[:, None] - quarter.keypoints[None], axis=2)
    i, j = np.nonzero(gaps < 0.05)
    turn = np.mod(quarter.orientations[j] - upright.orientations[i], 2 * np.pi)
    assert len(turn) > 100
    assert np.median(np.abs(turn - np.pi / 2)) < 0.03


def test_places_with_several_orientations_share_their_coordinates(texture):
    features = Sift().extract(texture, config=ExtractConfig(max_keypoints=1000))
    places = len(np.unique(features.keypoints, axis=0))
    both = np.column_stack([features.keypoints, features.orientations])
    assert places < len(features)
    assert len(np.unique(both, axis=0)) == len(features)


def test_a_higher_contrast_threshold_keeps_fewer(texture):
    counts = [
        len(Sift().extract(texture, config=ExtractConfig(max_keypoints=100_000, contrast_threshold=threshold)))
        for threshold in (0.005, 0.02, 0.05)
    ]
    assert counts[0] > counts[1] > counts[2]


def test_a_lower_threshold_finds_keypoints_in_shadow(texture):
    dark = (texture // 6).astype(np.uint8)
    none, many = (ExtractConfig(max_keypoints=5000, contrast_threshold=threshold) for threshold in (0.0066, 0.002))
    assert len(Sift().extract(dark, config=none)) == 0
    assert len(Sift().extract(dark, config=many)) > 1000


def test_opencv_keeps_the_threads_it_was_given(texture):
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        Sift().extract(texture, config=ExtractConfig(max_keypoints=100))
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_root_sift_compares_like_hellinger(count, seed):
    raw = np.random.default_rng(seed).integers(0, 256, (count, 128)).astype(np.float32)
    shares = raw / raw.sum(axis=1, keepdims=True)
    found = root_sift(raw).astype(float)
    np.testing.assert_allclose(found, np.minimum(512 * np.sqrt(shares), 255), atol=0.51)


def test_an_empty_descriptor_stays_empty():
    assert (root_sift(np.zeros((2, 128), np.float32)) == 0).all()


def test_features_and_matching_load_no_torch():
    code = (
        "import sys, reconflow.nets.registry, reconflow.nets.coarse;"
        "print('torch' in sys.modules, 'pycolmap' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_it_doubles_photos_itself_and_is_shown_none_enlarged(texture):
    plain, larger = (Sift().extract(texture, config=ExtractConfig(enlarge=times)) for times in (1.0, 4.0))
    assert np.array_equal(plain.keypoints, larger.keypoints)
