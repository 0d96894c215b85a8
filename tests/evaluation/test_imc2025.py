import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconflow.core.cameras import Pose
from reconflow.core.submission import OUTLIERS, PoseRow, read_poses, write_poses
from reconflow.errors import InputError
from reconflow.evaluation.files import evaluate_files
from reconflow.evaluation.imc2025 import Score, harmonic_mean, score_poses
from reconflow.evaluation.thresholds import AUTOMATIC, Thresholds

LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SEEDS = st.integers(0, 10_000)
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _renamed(rows, scene):
    return [msgspec.structs.replace(row, scene=scene) for row in rows]


def _unposed(rows):
    return [msgspec.structs.replace(row, cam_from_world=None) for row in rows]


def _strays(count):
    return [PoseRow(dataset="made", scene=OUTLIERS, image=f"stray{i}.jpg") for i in range(count)]


def test_the_truth_itself_scores_one(make_scene, moved):
    truth = make_scene("a", 8) + make_scene("b", 6) + _strays(2)
    score = score_poses(truth, moved(truth[:8], 1) + moved(truth[8:14], 2) + truth[14:], thresholds=AUTOMATIC)
    assert (score.final, score.mAA, score.clusterness, score.final_published_code) == (1, 1, 1, 1)
    scene = score.datasets[0].scenes[0]
    assert scene.correct_per_threshold == (8,) * 6
    assert list(scene.pose_auc.values()) == pytest.approx([1] * 4, abs=1e-6)
    assert scene.max_rotation_error_deg == pytest.approx(0, abs=1e-5)
    assert score.datasets[0].outliers == 2
    assert score.datasets[0].outliers_in_a_cluster == 0


@FEW
@given(seed=SEEDS)
def test_the_score_does_not_depend_on_the_submissions_frame(seed, make_scene, moved, disturbed):
    truth = make_scene("a", 12, seed)
    submission = disturbed(truth, seed)
    before, after = (score_poses(truth, rows, thresholds=AUTOMATIC) for rows in (submission, moved(submission, seed)))
    assert after.final == pytest.approx(before.final, abs=1e-12)
    assert after.datasets[0].scenes[0].correct_per_threshold == before.datasets[0].scenes[0].correct_per_threshold


@FEW
@given(seed=SEEDS, order=st.permutations(range(14)))
def test_the_score_does_not_depend_on_the_order_of_images(seed, order, make_scene, disturbed):
    truth = make_scene("a", 8, seed) + make_scene("b", 6, seed)
    submission = disturbed(truth, seed)
    before = score_poses(truth, submission, thresholds=AUTOMATIC)
    after = score_poses([truth[i] for i in order], [submission[i] for i in order[::-1]], thresholds=AUTOMATIC)
    assert after.final == pytest.approx(before.final, abs=1e-12)
    by_name = {scene.scene: scene for scene in after.datasets[0].scenes}
    for scene in before.datasets[0].scenes:
        assert by_name[scene.scene].median_center_error == pytest.approx(scene.median_center_error)
        assert by_name[scene.scene].pose_auc == pytest.approx(scene.pose_auc)


def test_two_scenes_in_one_cluster_halve_the_clusterness(make_scene):
    truth = make_scene("a", 8) + make_scene("b", 8, 1)
    score = score_poses(truth, _renamed(truth, "both"), thresholds=Thresholds({"made": {"a": LIMITS, "b": LIMITS}}))
    assert score.clusterness == 0.5
    assert score.mAA == 1
    assert score.final == pytest.approx(2 / 3)


def test_a_split_scene_keeps_its_clusterness_and_loses_cameras(make_scene):
    truth = make_scene("a", 12)
    score = score_poses(truth, _renamed(truth[:7], "x") + _renamed(truth[7:], "y"), thresholds=AUTOMATIC)
    assert score.clusterness == 1
    assert score.mAA == pytest.approx((7 - 3) / (12 - 3))
    assert score.datasets[0].scenes[0].cluster == "x"
    assert score.datasets[0].clusters == 2


def test_known_distances_count_at_known_thresholds_and_the_two_tightest_do_not(make_scene):
    # A factor of 100 between thresholds: no similarity can hide a camera ten times too far off.
    limits = (1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1.0)
    truth = make_scene("a", 20)
    submission = list(truth)
    for index, distance in enumerate([1e-7, 1e-5, 1e-3, 0.1, 30.0]):
        pose = truth[index].cam_from_world
        moved = Pose(pose.rotation, pose.translation - pose.rotation @ np.array([distance, 0, 0]))
        submission[index] = msgspec.structs.replace(truth[index], cam_from_world=moved)
    score = score_poses(truth, submission, thresholds=Thresholds({"made": {"a": limits}}))
    assert score.datasets[0].scenes[0].correct_per_threshold == (15, 15, 16, 17, 18, 19)
    assert score.mAA == pytest.approx((13 + 14 + 15 + 16) / (4 * 17))


def test_unposed_images_fail_their_pairs_and_are_not_counted_as_registered(make_scene):
    truth = make_scene("a", 6)
    scene = score_poses(truth, truth[:4] + _unposed(truth[4:]), thresholds=AUTOMATIC).datasets[0].scenes[0]
    assert (scene.common, scene.registered, scene.mAA) == (6, 4, pytest.approx(1 / 3))
    assert list(scene.pose_auc.values()) == pytest.approx([6 / 15] * 4, abs=1e-6)


def test_turned_cameras_show_in_the_rotation_error_and_not_in_the_score(make_scene):
    truth = make_scene("a", 6)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = [
        msgspec.structs.replace(row, cam_from_world=Pose(turn @ pose.rotation, turn @ pose.translation))
        for row in truth
        if (pose := row.cam_from_world) is not None
    ]
    score = score_poses(truth, turned[:4] + truth[4:], thresholds=AUTOMATIC)
    assert score.final == 1
    scene = score.datasets[0].scenes[0]
    assert (scene.median_rotation_error_deg, scene.max_rotation_error_deg) == (pytest.approx(90), pytest.approx(90))


def test_outliers_in_a_cluster_are_counted_and_lower_the_clusterness(make_scene):
    truth = make_scene("a", 8) + _strays(2)
    score = score_poses(truth, truth[:8] + _renamed(truth[8:], "a"), thresholds=AUTOMATIC)
    assert score.clusterness == 0.8
    assert (score.datasets[0].outliers, score.datasets[0].outliers_in_a_cluster) == (2, 2)


def test_a_tie_of_common_images_goes_to_the_better_cluster(make_scene, disturbed):
    truth = make_scene("a", 12)
    spoilt = disturbed(truth[:6], noise=5.0)
    score = score_poses(truth, _renamed(spoilt, "bad") + _renamed(truth[6:], "good"), thresholds=AUTOMATIC)
    assert score.datasets[0].scenes[0].cluster == "good"


def test_a_dropped_scene_lifts_only_the_published_codes_score(make_scene):
    truth = make_scene("a", 8) + make_scene("b", 8, 1)
    dropped = _unposed(_renamed(truth[8:], OUTLIERS))
    outliers_first = score_poses(truth, dropped + truth[:8], thresholds=AUTOMATIC)
    assert outliers_first.mAA == pytest.approx(5 / 10)
    assert outliers_first.datasets[0].scenes[1].cluster is None
    assert outliers_first.final_published_code == pytest.approx(harmonic_mean((8 - 3) / (8 - 6), 1))
    cluster_first = score_poses(truth, truth[:8] + dropped, thresholds=AUTOMATIC)
    assert cluster_first.final == outliers_first.final
    assert cluster_first.final_published_code == pytest.approx(harmonic_mean(0.5, 8 / 16))


def test_everything_in_outliers_scores_zero(make_scene):
    truth = make_scene("a", 8)
    score = score_poses(truth, _unposed(_renamed(truth, OUTLIERS)), thresholds=AUTOMATIC)
    assert (score.final, score.mAA, score.clusterness) == (0, 0, 0)


def test_the_final_score_is_the_mean_over_datasets(make_scene):
    good = make_scene("a", 8)
    bad = [msgspec.structs.replace(row, dataset="other") for row in good]
    score = score_poses(good + bad, good + _unposed(_renamed(bad, OUTLIERS)), thresholds=AUTOMATIC)
    assert score.final == 0.5
    assert [dataset.dataset for dataset in score.datasets] == ["made", "other"]


def test_a_missing_image_is_refused_or_leniently_an_outlier(make_scene):
    truth = make_scene("a", 8)
    with pytest.raises(InputError, match=r"lacks 2 images of made, first a006\.jpg"):
        score_poses(truth, truth[:6], thresholds=AUTOMATIC)
    lenient = score_poses(truth, truth[:6], thresholds=AUTOMATIC, lenient=True)
    explicit = score_poses(truth, truth[:6] + _renamed(truth[6:], OUTLIERS), thresholds=AUTOMATIC)
    assert lenient.final == explicit.final < 1


def test_an_unknown_image_is_refused_or_leniently_ignored(make_scene):
    truth = make_scene("a", 8)
    extra = [*truth, msgspec.structs.replace(truth[0], image="z.jpg")]
    with pytest.raises(InputError, match=r"1 images that made does not have, first z\.jpg"):
        score_poses(truth, extra, thresholds=AUTOMATIC)
    assert score_poses(truth, extra, thresholds=AUTOMATIC, lenient=True).final == 1


def test_a_missing_dataset_is_refused_or_leniently_zero(make_scene):
    truth = make_scene("a", 8)
    with pytest.raises(InputError, match="lacks the dataset made"):
        score_poses(truth, [], thresholds=AUTOMATIC)
    assert score_poses(truth, [], thresholds=AUTOMATIC, lenient=True).final == 0


def test_an_image_named_twice_is_refused_even_leniently(make_scene):
    truth = make_scene("a", 8)
    with pytest.raises(InputError, match=r"names made/a000\.jpg twice"):
        score_poses(truth, [*truth, msgspec.structs.replace(truth[0], scene="b")], thresholds=AUTOMATIC, lenient=True)


def test_a_score_survives_json(make_scene, disturbed):
    truth = make_scene("a", 8)
    score = score_poses(truth, disturbed(truth), thresholds=AUTOMATIC)
    assert msgspec.json.decode(msgspec.json.encode(score), type=Score) == score


def _shuffled_scenes(rows, rng):
    """Move every tenth image to another cluster or the outliers."""
    scenes = [*sorted({row.scene for row in rows}), OUTLIERS, "new"]
    return [
        msgspec.structs.replace(row, scene=scenes[rng.integers(len(scenes))]) if rng.random() < 0.1 else row
        for row in rows
    ]


@pytest.mark.quality
@pytest.mark.parametrize("seed", range(12))
def test_random_submissions_score_as_the_reference_says(seed, reference, make_scene, moved, disturbed, tmp_path):
    rng = np.random.default_rng(seed)
    truth = make_scene("a", 14, seed) + make_scene("b", 9, seed) + make_scene("c", 4, seed) + _strays(3)
    submission = _shuffled_scenes(moved(disturbed(truth, seed, float(rng.choice([0.005, 0.05, 1]))), seed), rng)
    submission = [submission[i] for i in rng.permutation(len(submission))][seed % 3 :]
    write_poses(truth, tmp_path / "truth.csv")
    write_poses(submission, tmp_path / "submission.csv")
    wanted = reference.score_files(tmp_path / "truth.csv", tmp_path / "submission.csv", lenient=True)
    assert_as_reference(score_poses(truth, submission, thresholds=AUTOMATIC, lenient=True), wanted)


def assert_as_reference(score, wanted):
    final = wanted["final"]
    assert (score.final, score.mAA, score.clusterness, 100 * score.final_published_code) == pytest.approx(
        (final["score"], final["mAA"], final["clusterness"], final["score_percent_published_code"]), abs=1e-9
    )
    for dataset in score.datasets:
        theirs = wanted["datasets"][dataset.dataset]
        assert dataset.outliers_in_a_cluster == theirs.get("outliers_put_in_a_cluster", 0)
        assert dataset.clusters == theirs["clusters_submitted"]
        for scene in dataset.scenes:
            other = theirs["scenes"][scene.scene]
            assert scene.cluster == other["cluster"]
            assert scene.common == other["common"]
            assert list(scene.correct_per_threshold) == (other["correct_per_threshold"] or [0] * 6)
            assert scene.mAA == pytest.approx(other["mAA"], abs=1e-9)
            ours = (scene.median_center_error, scene.max_center_error, scene.median_rotation_error_deg)
            names = ("median_centre_error", "max_centre_error", "median_rotation_error_deg")
            np.testing.assert_allclose(_numbers(ours[:2]), _numbers(other[n] for n in names[:2]), rtol=1e-6, atol=1e-9)
            # The reference's arc cosine loses digits at small angles where matrices are rounded.
            np.testing.assert_allclose(_numbers(ours[2:]), _numbers([other[names[2]]]), atol=0.01)


def _numbers(values):
    return np.array([np.nan if value is None else value for value in values])


@pytest.mark.quality
@pytest.mark.parametrize("name", ["fountain", "herzjesu", "door", "et", "mixed-dev"])
@pytest.mark.parametrize("choice", ["official", "strict"])
def test_disturbed_real_poses_score_as_the_reference_says(name, choice, data, reference, disturbed, tmp_path):
    truth = data / "dev" / name / "truth.csv"
    rows = read_poses(truth)
    submission = tmp_path / "submission.csv"
    write_poses(disturbed(rows, 3, noise=0.01), submission)
    file = "thresholds.csv" if choice == "official" else "thresholds_strict.csv"
    wanted = reference.score_files(truth, submission, truth.with_name(file))
    assert_as_reference(evaluate_files(truth, submission, thresholds=choice), wanted)
