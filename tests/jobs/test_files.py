import os
import signal
import stat
import subprocess
import sys
import time
import uuid

import pytest

from reconflow.errors import DiskFullError
from reconflow.jobs.files import DataFolder


@pytest.fixture
def files(tmp_path):
    return DataFolder(tmp_path / "data", min_free_bytes=0)


def test_a_deleted_job_leaves_nothing_and_other_jobs_stay(files):
    kept, gone = str(uuid.uuid4()), str(uuid.uuid4())
    for job in (kept, gone):
        files.run(job).mkdir(parents=True)
        files.upload(job).write_bytes(b"zip")
    files.delete(gone)
    assert not files.job(gone).exists()
    assert files.upload(kept).read_bytes() == b"zip"
    assert len(list(files.jobs.iterdir())) == 1


def test_a_fresh_data_directory_is_for_nobody_else_to_read(files):
    assert stat.S_IMODE(files.path.stat().st_mode) == 0o700


def test_a_job_id_that_is_a_path_is_refused(files):
    with pytest.raises(ValueError, match="UUID"):
        files.job("../../etc")


def test_a_deletion_cut_short_is_finished_by_the_next_sweep(files):
    job = str(uuid.uuid4())
    files.run(job).mkdir(parents=True)
    files.job(job).rename(files.jobs / f".deleted-{job}")
    files.sweep(is_job=lambda job_id: True)
    assert list(files.jobs.iterdir()) == []


def test_uploads_of_dead_processes_are_swept_and_those_of_living_ones_stay(files):
    mine = files.incoming_path()
    mine.write_bytes(b"half")
    script = (
        "import sys; from pathlib import Path; from reconflow.jobs.files import DataFolder;"
        "DataFolder(Path(sys.argv[1]), min_free_bytes=0).incoming_path().write_bytes(b'half')"
    )
    subprocess.run([sys.executable, "-c", script, str(files.path)], check=True)
    assert len(list(files.incoming.iterdir())) == 2
    files.sweep(is_job=lambda job_id: True)
    assert list(files.incoming.iterdir()) == [mine]


def test_what_a_killed_worker_was_storing_is_swept_and_what_it_had_stored_stays(files):
    script = (
        "import os, signal, sys; from pathlib import Path; from reconflow.store.publish import publishing\n"
        "for name in ('whole', 'half'):\n"
        "    with publishing(Path(sys.argv[1]) / 'features' / name) as partial:\n"
        "        partial.write_bytes(b'pack')\n"
        "        if name == 'half': os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(files.store)])
    assert killed.returncode == -signal.SIGKILL
    assert len(list((files.store / "features").iterdir())) == 2
    files.sweep(is_job=lambda job_id: True)
    assert [path.name for path in (files.store / "features").iterdir()] == ["whole"]


def test_uploads_of_a_host_that_is_gone_are_swept_after_a_day(files):
    fresh, old, folder = (files.incoming / f".partial-elsewhere-1-{name}" for name in ("fresh", "old", "folder"))
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"photo")
    for path in (fresh, old):
        path.write_bytes(b"half")
    for path in (old, folder):
        os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    files.sweep(is_job=lambda job_id: True)
    assert list(files.incoming.iterdir()) == [fresh]


def test_space_is_asked_for_before_it_is_used(files):
    files.require_space(0)
    with pytest.raises(DiskFullError, match="MB of disk space are missing"):
        files.require_space(files.free_bytes() + 1)


def test_only_folders_marked_as_unsettled_go_when_the_ledger_has_no_such_job(files):
    kept, unmarked, gone, fresh = (str(uuid.uuid4()) for _ in range(4))
    for job in (kept, unmarked, gone, fresh):
        files.run(job).mkdir(parents=True)
    for job in (kept, gone, fresh):
        files.leave_to_ledger(files.job(job))
    for job in (kept, gone):
        os.utime(files.job(job) / ".unsettled", (0, 0))
    files.sweep(is_job=lambda job_id: job_id == kept)
    assert {path.name for path in files.jobs.iterdir()} == {kept, unmarked, fresh}
    files.settle(fresh)
    assert [path.name for path in files.job(fresh).iterdir()] == ["run"]
    assert [path.name for path in files.job(kept).iterdir()] == ["run"]
