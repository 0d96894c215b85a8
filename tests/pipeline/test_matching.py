import numpy as np
import pytest

from reconflow.config import load_config
from reconflow.core.cameras import Camera
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.core.union import unite
from reconflow.nets.methods import Method
from reconflow.pipeline.matching import ReadyMethod, coarse_reasons, made_with, match_pair, together

SIZE = (640, 480)
CAMERA = Camera.from_focal("SIMPLE_RADIAL", *SIZE, 600.0, prior=True)


class Fixed:
    """A matcher that gives what it was told."""

    name = made_with = "fixed"

    def __init__(self, indices, level: int):
        self.indices = np.asarray(indices).reshape(-1, 2)
        self.acceptance_inliers = level

    def match(self, a, b, *, config):
        return Matches(self.indices)


def features(keypoints) -> Features:
    count = len(keypoints)
    zeros = np.zeros(count, np.float32)
    return Features(
        keypoints=np.asarray(keypoints, np.float32),
        scales=zeros + 1,
        orientations=zeros,
        scores=zeros,
        descriptors=np.zeros((count, 4), np.uint8),
        colors=np.zeros((count, 3), np.uint8),
        image_size=SIZE,
    )


@pytest.fixture
def world():
    """Two views of 60 points: the first half is one extractor's, the second half another's."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-2, -1.5, 4), (2, 1.5, 8), (60, 3))
    turn = np.array([[np.cos(0.2), 0, np.sin(0.2)], [0, 1, 0], [-np.sin(0.2), 0, np.cos(0.2)]])

    def seen(cam):
        return cam[:, :2] / cam[:, 2:] * 600 + np.array(SIZE) / 2

    views = seen(points), seen(points @ turn.T + np.array([0.7, 0.1, 0.2]))
    return tuple(unite([features(view[:30]), features(view[30:])]) for view in views)


def ready(*matchers) -> list[ReadyMethod]:
    names = (("sift",), ("xfeat",))
    return [ReadyMethod(Method(names[k], "fixed"), matcher, k) for k, matcher in enumerate(matchers)]


def run(world, methods, hopeless=("", "")):
    return match_pair(*world, cameras=(CAMERA, CAMERA), ready=methods, hopeless=hopeless, config=load_config())


ALL = np.repeat(np.arange(30), 2).reshape(-1, 2)


def test_matches_of_all_methods_are_verified_together_in_rows_of_the_union(world):
    matches, geometry, reason = run(world, ready(Fixed(ALL, 20), Fixed(ALL, 20)))
    assert np.array_equal(matches.indices, np.repeat(np.arange(60), 2).reshape(-1, 2))
    assert len(geometry) == 60
    assert reason == ""


def test_one_method_alone_has_to_reach_its_own_level(world):
    few = ALL[:15]
    _, geometry, reason = run(world, ready(Fixed(few, 20), Fixed(few, 20)))
    assert len(geometry) == 30
    assert reason == "15 matches, 20 needed"
    assert run(world, ready(Fixed(few, 20), Fixed(few, 12)))[2] == ""


def test_a_hopeless_method_is_left_out_and_a_hopeless_pair_ends(world):
    methods = ready(Fixed(ALL, 20), Fixed(ALL, 20))
    matches, _, reason = run(world, methods, ("coarse pass: 0 matches, 3 needed", ""))
    assert len(matches) == 30
    assert (matches.indices >= 30).all()
    assert reason == ""
    matches, _, reason = run(world, methods, ("coarse pass: 0 matches, 3 needed", "coarse pass: 1"))
    assert len(matches) == 0
    assert reason.startswith("coarse pass: 0")


def test_methods_that_disagree_give_one_match_per_keypoint_the_earlier_one_counting():
    found = together([Matches(np.array([[0, 5], [2, 2]])), Matches(np.array([[0, 6], [3, 2], [4, 4]]))])
    assert found.indices.tolist() == [[0, 5], [2, 2], [4, 4]]


def test_the_coarse_pass_is_for_extractors_it_was_measured_for(world):
    methods = [
        ReadyMethod(Method((name,), matcher), Fixed(ALL, 20), part)
        for part, (name, matcher) in enumerate([("sift", "adalam"), ("superpoint", "mnn")])
    ]
    ((first, second),) = coarse_reasons(world, [(0, 1)], ready=methods, config=load_config().match)
    assert first.startswith("coarse pass: ")
    assert second == ""


def test_how_alike_the_coarse_pass_wants_photos_is_in_the_key():
    keys = {made_with(ReadyMethod(Method((name,), "mnn"), Fixed(ALL, 20), 0)) for name in ("xfeat", "aliked-t16")}
    assert len(keys) == 2
