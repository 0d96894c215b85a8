import errno
import os
import signal
import socket
import subprocess
import sys

import pytest

from reconflow.errors import DiskFullError, OutputError
from reconflow.store.publish import publishing, sweep_partials


def test_a_name_appears_only_when_its_content_is_complete(tmp_path):
    target = tmp_path / "sub" / "a.txt"
    with publishing(target) as partial:
        partial.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), publishing(tmp_path / "a.txt") as partial:
        partial.write_text("x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_older_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), publishing(tmp_path / "a.txt") as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_first_of_two_folders_of_a_name_stays(tmp_path):
    for content in ("first", "second"):
        with publishing(tmp_path / "models") as partial:
            partial.mkdir()
            (partial / "a").write_text(content)
    assert (tmp_path / "models" / "a").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["models"]


def test_a_block_that_writes_nothing_is_told(tmp_path):
    with pytest.raises(FileNotFoundError), publishing(tmp_path / "a.txt"):
        pass


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((OutputError, NotADirectoryError)), publishing(tmp_path / "file" / "a") as partial:
        partial.write_text("x")


def test_a_full_disk_is_told_as_one_and_leaves_nothing(tmp_path):
    with pytest.raises(DiskFullError, match=r"a\.txt is full"), publishing(tmp_path / "a.txt") as partial:
        partial.write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom reconflow.store.publish import publishing\n"
        "with publishing(Path(sys.argv[1]) / 'a.txt') as partial:\n"
        "    partial.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / "unknown.txt").write_text("keep")
    with publishing(tmp_path / "mine.txt") as partial:
        partial.write_text("being written")
        assert sweep_partials(tmp_path) == 1
        assert partial.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "unknown.txt"]


def test_a_process_that_got_the_number_of_a_dead_one_keeps_nothing_of_it_alive(tmp_path):
    mine, older = (tmp_path / f".partial-{socket.gethostname()}-{os.getpid()}-{i}-x" for i in range(2))
    mine.touch()
    older.touch()
    os.utime(older, (1e9, 1e9))
    assert sweep_partials(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [mine]
