import pytest

from reconflow.core.submission import write_poses
from reconflow.errors import InputError
from reconflow.evaluation.files import evaluate_files


@pytest.fixture
def folder(tmp_path, make_scene, disturbed):
    truth = make_scene("a", 10)
    write_poses(truth, tmp_path / "truth.csv")
    write_poses(disturbed(truth, noise=0.05), tmp_path / "submission.csv")
    return tmp_path


def _scene(folder, **options):
    return evaluate_files(folder / "truth.csv", folder / "submission.csv", **options).datasets[0].scenes[0]


def _write_thresholds(path, text):
    path.write_text(f"dataset,scene,thresholds\nmade,a,{text}\n")


def test_official_thresholds_lie_beside_the_truth(folder):
    _write_thresholds(folder / "thresholds.csv", "1;2;3;4;5;6")
    assert _scene(folder).thresholds == (1, 2, 3, 4, 5, 6)


def test_without_that_file_the_extent_of_the_scene_decides(folder):
    thresholds = _scene(folder).thresholds
    assert len(thresholds) == 6
    assert thresholds[5] == pytest.approx(50 * thresholds[0])


def test_strict_thresholds_lie_beside_the_truth_or_are_refused(folder):
    with pytest.raises(InputError, match=r"thresholds_strict.csv does not exist"):
        _scene(folder, thresholds="strict")
    _write_thresholds(folder / "thresholds_strict.csv", "0.1;0.2;0.3;0.4;0.5;0.6")
    assert _scene(folder, thresholds="strict").thresholds[0] == 0.1


def test_thresholds_may_come_from_any_file(folder):
    _write_thresholds(folder / "mine.csv", "0.1;0.2;0.3;0.4")
    assert _scene(folder, thresholds=folder / "mine.csv").thresholds == (0.1, 0.2, 0.3, 0.4)
    assert len(_scene(folder, thresholds=str(folder / "mine.csv")).correct_per_threshold) == 4


def test_a_word_that_is_neither_choice_nor_file_is_refused(folder):
    with pytest.raises(InputError, match="must be 'official', 'strict' or a CSV file, got stict"):
        _scene(folder, thresholds="stict")


@pytest.mark.parametrize("text", ["", "1;two;3", "3;2;1", "-1;2;3", "0;0;0", "nan;1;2", "1;2;inf"])
def test_numbers_that_are_no_thresholds_name_the_line(folder, text):
    _write_thresholds(folder / "thresholds.csv", text)
    with pytest.raises(InputError, match=r"thresholds.csv, line 2: thresholds must be"):
        _scene(folder)


def test_too_few_thresholds_are_refused(folder):
    _write_thresholds(folder / "thresholds.csv", "1;2")
    with pytest.raises(InputError, match="more than 2 thresholds"):
        _scene(folder)


def test_a_scene_that_the_thresholds_lack_is_named(folder, make_scene):
    write_poses(make_scene("a", 6) + make_scene("b", 6), folder / "truth.csv")
    _write_thresholds(folder / "thresholds.csv", "1;2;3;4")
    with pytest.raises(InputError, match=r"made/b has no thresholds and other scenes of made have 4"):
        evaluate_files(folder / "truth.csv", folder / "truth.csv")


def test_scenes_with_unequal_numbers_of_thresholds_are_refused(folder):
    (folder / "thresholds.csv").write_text("dataset,scene,thresholds\nmade,a,1;2;3\nmade,b,1;2;3;4\n")
    with pytest.raises(InputError, match="equally many thresholds"):
        _scene(folder)


def test_a_missing_column_is_named(folder):
    (folder / "thresholds.csv").write_text("dataset,scene\nmade,a\n")
    with pytest.raises(InputError, match="lacks the column thresholds"):
        _scene(folder)


def test_a_missing_truth_is_an_input_error(folder):
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        evaluate_files(folder / "nowhere.csv", folder / "submission.csv")


def test_a_scene_without_pose_and_thresholds_is_refused(tmp_path):
    lines = "dataset,scene,image,rotation_matrix,translation_vector\n"
    lines += f"made,a,1.jpg,{';'.join(['nan'] * 9)},nan;nan;nan\n"
    (tmp_path / "truth.csv").write_text(lines)
    with pytest.raises(InputError, match="made/a has no true pose"):
        evaluate_files(tmp_path / "truth.csv", tmp_path / "truth.csv")
