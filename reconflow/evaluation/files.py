"""Score CSV files."""

import os
from pathlib import Path

from reconflow.core.submission import read_poses
from reconflow.errors import InputError
from reconflow.evaluation.imc2025 import Score, score_poses
from reconflow.evaluation.thresholds import AUTOMATIC, Thresholds, read_thresholds


def evaluate_files(
    truth_csv: str | os.PathLike[str],
    submission_csv: str | os.PathLike[str],
    *,
    thresholds: str | os.PathLike[str] = "official",
    lenient: bool = False,
) -> Score:
    """Score a submission's CSV against a truth's.

    Parameters
    ----------
    truth_csv, submission_csv : path
        Files as `reconflow.core.submission.read_poses` takes them.
    thresholds : "official", "strict" or path
        ``thresholds.csv`` beside the truth (without that file, from each scene's extent), ``thresholds_strict.csv``
        beside the truth, or a file of one's own with the columns ``dataset,scene,thresholds``.
    lenient : bool
        Take images that the submission lacks for outliers and ignore unknown ones, instead of rejecting both.

    Raises
    ------
    InputError
        If a file cannot be used or both sides name different images.

    """
    limits = _thresholds_for(Path(truth_csv), thresholds)
    return score_poses(read_poses(truth_csv), read_poses(submission_csv), thresholds=limits, lenient=lenient)


def _thresholds_for(truth: Path, choice: str | os.PathLike[str]) -> Thresholds:
    if choice == "official":
        beside = truth.with_name("thresholds.csv")
        return read_thresholds(beside) if beside.is_file() else AUTOMATIC
    if choice == "strict":
        beside = truth.with_name("thresholds_strict.csv")
        if not beside.is_file():
            raise InputError(f"{beside} does not exist; strict thresholds need that file beside the truth")
        return read_thresholds(beside)
    if not Path(choice).is_file():
        raise InputError(f"thresholds must be 'official', 'strict' or a CSV file, got {os.fspath(choice)}")
    return read_thresholds(choice)
