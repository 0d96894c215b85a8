import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from reconflow.evaluation.pose_error import (
    direction_errors_deg,
    pose_auc,
    relative_pose_errors_deg,
    rotation_errors_deg,
)


@pytest.mark.parametrize("angle", [1e-7, 0.5, 90.0, 179.0])
def test_the_error_of_a_rotation_is_its_angle(angle):
    turn = Rotation.from_rotvec(np.array([0, np.radians(angle), 0])).as_matrix()
    base = Rotation.random(random_state=0).as_matrix()
    assert rotation_errors_deg(base @ turn, base) == pytest.approx(angle, rel=1e-6)


def test_directions_count_their_sign_and_not_their_length():
    a = np.array([[2.0, 0, 0], [-1.0, 0, 0], [0, 5.0, 0], [0, 0, 0], [0, 1.0, 0]])
    b = np.array([[7.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(direction_errors_deg(a, b), [0, 180, 90, 180, 0])


def test_a_turned_camera_spoils_exactly_its_own_pairs():
    rotations = Rotation.random(5, random_state=1).as_matrix()
    centers = np.random.default_rng(1).normal(size=(5, 3))
    turned = rotations.copy()
    turned[4] = Rotation.from_rotvec([0, 0, np.radians(7)]).as_matrix() @ rotations[4]
    errors = relative_pose_errors_deg(turned, centers, rotations, centers)
    i, j = np.triu_indices(5, 1)
    np.testing.assert_allclose(errors[(i != 4) & (j != 4)], 0, atol=1e-6)
    np.testing.assert_allclose(errors[j == 4], 7, atol=1e-6)


def test_the_larger_of_both_errors_counts():
    rotations = np.stack([np.eye(3)] * 2)
    true = np.array([[0.0, 0, 0], [1, 0, 0]])
    moved = np.array([[0.0, 0, 0], [1, np.tan(np.radians(20)), 0]])
    assert relative_pose_errors_deg(rotations, moved, rotations, true) == pytest.approx([20])


def test_the_area_is_the_integral_of_the_recall_curve():
    errors = np.array([0.3, 0.9, 2.0, 7.0])
    grid = (np.arange(200_000) + 0.5) / 200_000 * 5
    recall = (errors[:, None] <= grid).sum(0) / 6
    assert pose_auc(errors, 6, [5]) == pytest.approx([recall.mean()], abs=1e-4)


def test_missing_pairs_are_failures_and_no_pair_is_zero():
    assert pose_auc(np.zeros(3), 6) == [0.5] * 4
    assert pose_auc(np.zeros(0), 0) == [0.0] * 4


def test_more_errors_than_pairs_are_refused():
    with pytest.raises(ValueError, match="at least the number of errors 3"):
        pose_auc(np.zeros(3), 2)
