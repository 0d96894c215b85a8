"""Mapping one scene: the worker's side, which runs the mapper as a subprocess of its own.

A C++ abort, an out-of-memory kill or a cancellation must not take the worker along.
"""

import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import msgspec

from reconflow.errors import StageError
from reconflow.pipeline.control import RunLine, TaskControl
from reconflow.pipeline.mapper_job import MapperJob, MapperLine, MapperSummary, has_summary, read_summary
from reconflow.pipeline.work_items import MappingTask
from reconflow.store.publish import publishing

_POLL_S = 0.5
_STDERR_LINES = 20


def reconstruct(task: MappingTask, store: str, line: RunLine) -> MapperSummary:
    """Map a scene into ``task.folder``; a folder that exists is a finished mapping.

    A mapper that crashed, was killed or gave up is told in ``failure``, with its last words, and is tried again by
    the next run.

    Raises
    ------
    Cancelled
        If the run was cancelled; the mapper is stopped.

    """
    control = TaskControl(line, stage="reconstruct", task=task.key)
    folder = Path(task.folder)
    try:
        with publishing(folder) as partial:
            partial.mkdir()
            job = partial / "job.json"
            job.write_bytes(msgspec.json.encode(MapperJob(store, task)))
            _run_mapper(job, control)
            job.unlink()
    except StageError as error:
        return MapperSummary(models=(), unregistered={}, failure=error.message)
    return read_summary(folder)


def _run_mapper(job: Path, control: TaskControl) -> None:
    command = [sys.executable, "-m", "reconflow.pipeline.mapper", str(job)]
    # The mapper ends itself when its standard input closes, so it never outlives a worker that was killed.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
            said: list[str] = []
            threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
            listener = threading.Thread(target=_keep_last, args=(process.stderr, said), daemon=True)
            listener.start()
            _follow(lines, control)
            code = process.wait()
            listener.join(timeout=5)
        except BaseException:
            process.kill()
            raise
    if code != 0 or not has_summary(job.parent):
        raise StageError(_why(code, said), stage="reconstruct")


def _follow(lines: "queue.SimpleQueue[str | None]", control: TaskControl) -> None:
    while True:
        control.check()
        try:
            text = lines.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if text is None:
            return
        control.advance(msgspec.json.decode(text, type=MapperLine).registered)


def _pump(stream: IO[str] | None, lines: "queue.SimpleQueue[str | None]") -> None:
    for text in stream or ():
        if text.startswith("{"):
            lines.put(text)
    lines.put(None)


def _keep_last(stream: IO[str] | None, said: list[str]) -> None:
    for text in stream or ():
        said.append(text.rstrip())
        del said[:-_STDERR_LINES]


def _why(code: int, said: list[str]) -> str:
    last = next((text for text in reversed(said) if text), "it said nothing")
    if code == -signal.SIGKILL:
        return "the mapper was killed, most likely because memory ran out; try fewer keypoints or fewer photos"
    if code < 0:
        return f"the mapper crashed with {signal.Signals(-code).name}: {last}"
    return f"the mapper failed: {last}"
