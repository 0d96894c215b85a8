import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow import errors
from reconflow.jobs.states import (
    _CODES,
    _HINTS,
    ACTIVE,
    FINISHED,
    PROGRESS,
    engine_progress,
    error_code,
    hint,
    may_cancel,
    may_retry,
)

ENGINE = ["weights", "ingest", "extract", "shortlist", "match", "split", "reconstruct", "cloud", "report"]


@given(st.integers(0, 50), st.integers(0, 50))
def test_progress_never_goes_back_from_one_stage_of_the_engine_to_the_next(done, total):
    shares = [engine_progress(stage, min(done, total), total)[1] for stage in ENGINE]
    assert shares == sorted(shares)
    assert shares[0] >= 10
    assert shares[-1] < 100


@pytest.mark.parametrize("stage", ENGINE)
def test_progress_lies_between_the_start_of_its_stage_and_that_of_the_next(stage):
    job_stage, first = engine_progress(stage, 0, 7)
    _, last = engine_progress(stage, 7, 7)
    following = [PROGRESS[name] for name in (*ACTIVE, "success") if PROGRESS[name] > PROGRESS[job_stage]]
    assert PROGRESS[job_stage] <= first <= last <= min(following)


def test_a_job_is_either_cancelled_or_retried():
    assert all(may_cancel(stage) != (stage in FINISHED) for stage in PROGRESS)
    assert [stage for stage in PROGRESS if may_retry(stage)] == ["failed", "cancelled"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
        (errors.DiskFullError("x"), "disk_full"),
        (TimeoutError(), "timeout"),
        (errors.TooFewImagesError("x"), "too_few_images"),
        (errors.NoImagesError("x"), "no_images"),
        (errors.ClusterError("x"), "worker_lost"),
        (errors.OutputError("x"), "internal"),
        (KeyError("x"), "internal"),
    ],
)
def test_an_error_has_one_code(error, code):
    assert error_code(error) == code


def test_every_code_has_a_hint_that_is_a_sentence():
    assert {code for _, code in _CODES} <= _HINTS.keys()
    assert all(hint(code).endswith(".") for code in _HINTS)
