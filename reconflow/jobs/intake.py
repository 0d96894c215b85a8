"""An upload, looked at before it becomes a job: is it a ZIP of photos, and do they look like what the models know?

The look happens in a process of its own (``python -m reconflow.jobs.intake``): archives and images from strangers are
decoded there, so that a crash or a memory hog takes neither the web process nor its answers along.
"""

import contextlib
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from reconflow import errors
from reconflow.config import IngestConfig
from reconflow.core.drift import DriftReport
from reconflow.core.images import Unreadable
from reconflow.core.scenes import FEWEST_IMAGES
from reconflow.errors import InputError, NotExaminedError, ReconflowError, TooFewImagesError

logger = logging.getLogger(__name__)

_SAMPLE = 120
"""Photos the drift check looks at: medians of more of them hardly move."""
_TIMEOUT_S = 600
_POLL_S = 0.2
_BEGUN = b"looking\n"
"""What the process prints before it looks: without it, Python itself did not start."""
_FROM_OUTSIDE = frozenset(-number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
"""Ends of the process that say nothing of the upload; other signals are crashes, which it caused."""
_TOLD_BYTES = 4000
"""Of what a process that crashed had to say, for the log."""
_DECODERS = 2
_MEMORY_BYTES = 4 << 30
_BYTES_PER_PIXEL = 16
"""While a photo is decoded: Pillow's raster, that of numpy, and copies in between."""


class IntakeRequest(msgspec.Struct, frozen=True):
    """What the process is told."""

    upload: str
    unpack_to: str
    baseline: str
    max_megapixels: float
    reserve_bytes: int
    """What has to stay free on the disk."""
    memory_bytes: int
    """What it may use."""
    fewest: int
    """Usable photos."""


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """A usable upload."""

    n_images: int
    """Photos by name."""
    n_sampled: int
    n_readable: int
    """Of those sampled."""
    drift: DriftReport


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an upload is refused: the name of an error of `reconflow.errors` and its sentence."""

    kind: str
    message: str


def look_at(
    upload: Path,
    *,
    unpack_to: Path,
    baseline: Path,
    max_megapixels: float,
    stopping: threading.Event,
    reserve_bytes: int = 0,
    memory_bytes: int | None = None,
    fewest: int = FEWEST_IMAGES,
) -> Intake:
    """Return what an upload holds; its photos lie unpacked below ``unpack_to`` afterwards, where a run finds them.

    Raises
    ------
    InputError
        If it is not a ZIP, holds what a ZIP of photos has no reason to hold, or fewer than ``fewest`` usable photos; of
        many photos only some are looked at, and one of them has to be usable.
    DiskFullError
        If less than ``reserve_bytes`` would stay free on the disk.
    NotExaminedError
        If the look takes too long, or is ended from outside: by a signal, or because ``stopping`` is set.

    """
    if memory_bytes is None:
        memory_bytes = _MEMORY_BYTES + round(_DECODERS * _BYTES_PER_PIXEL * max_megapixels * 1e6)
    request = IntakeRequest(
        str(upload), str(unpack_to), str(baseline), max_megapixels, reserve_bytes, memory_bytes, fewest
    )
    told = _ask(request, stopping)
    try:
        answer = msgspec.json.decode(told, type=dict[str, msgspec.Raw])
        if "kind" not in answer:
            return msgspec.json.decode(told, type=Intake)
        refusal = msgspec.json.decode(told, type=Refusal)
    except msgspec.MsgspecError as error:
        raise InputError("the upload cannot be examined: decoding its photos crashed") from error
    kind = getattr(errors, refusal.kind, InputError)
    raise kind(refusal.message)


def _ask(request: IntakeRequest, stopping: threading.Event) -> bytes:
    """Return what the process prints. It gets no signal of our terminal, and ends when we do."""
    ours, deadline = os.pipe(), time.monotonic() + _TIMEOUT_S
    command = [sys.executable, "-m", "reconflow.jobs.intake", str(ours[0])]
    content: bytes | None = msgspec.json.encode(request)
    with (
        _closing(ours),
        subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, pass_fds=ours[:1], start_new_session=True) as process,
    ):
        while True:
            try:
                told, complaint = process.communicate(content, timeout=_POLL_S)
            except subprocess.TimeoutExpired as error:
                content = None  # it has been sent, and communicate() refuses to be told twice
                if stopping.is_set() or time.monotonic() > deadline:
                    process.kill()
                    why = "the service is ending" if stopping.is_set() else "the photos take too long to decode"
                    raise NotExaminedError(f"{why}: try again later") from error
            except BaseException:
                process.kill()
                raise
            else:
                break
    if process.returncode in _FROM_OUTSIDE or (process.returncode > 0 and not told.startswith(_BEGUN)):
        raise NotExaminedError("the look at the photos was interrupted: try again")
    if process.returncode:
        logger.warning("a look at an upload ended with %d: %s", process.returncode, _end_of(complaint))
    return told.removeprefix(_BEGUN)


def _end_of(complaint: bytes) -> str:
    return complaint[-_TOLD_BYTES:].decode(errors="replace").strip()


@contextlib.contextmanager
def _closing(ends: tuple[int, int]) -> Generator[None]:
    try:
        yield
    finally:
        for end in ends:
            os.close(end)


def examine(request: IntakeRequest) -> Intake:
    """Unpack an upload and look at its photos, in this process."""
    from reconflow.jobs.drift import read_baseline
    from reconflow.pipeline.photos import open_photos
    from reconflow.stages.drift import check_drift, scene_summary
    from reconflow.stages.ingest import ingest_image

    if not _is_zip(Path(request.upload)):
        raise InputError("the upload is not a ZIP, or its end is missing")
    files = open_photos(Path(request.upload), unpack_to=Path(request.unpack_to), reserve_bytes=request.reserve_bytes)
    config = IngestConfig(max_megapixels=request.max_megapixels)
    chosen = [files[i * len(files) // min(len(files), _SAMPLE)] for i in range(min(len(files), _SAMPLE))]
    with ThreadPoolExecutor(_DECODERS) as threads:
        found = list(threads.map(lambda file: ingest_image(file[0], file[1], config=config), chosen))
    readable = [record for record in found if not isinstance(record, Unreadable)]
    if len(readable) < (request.fewest if len(chosen) == len(files) else 1):
        reasons = "; ".join(f"{bad.name} {bad.reason}" for bad in found if isinstance(bad, Unreadable))
        raise TooFewImagesError(
            f"{len(readable)} usable photos found, and {'a reconstruction' if request.fewest > 1 else 'this'} needs at "
            f"least {request.fewest}"
            f"{f' ({reasons[:300]})' if reasons else ''}"
        )
    summary = scene_summary([(r.stats, r.width, r.height) for r in readable if r.stats is not None])
    drift = check_drift(summary, read_baseline(Path(request.baseline)))
    return Intake(n_images=len(files), n_sampled=len(chosen), n_readable=len(readable), drift=drift)


def _is_zip(path: Path) -> bool:
    """Return whether a file is a ZIP from its first byte on: what hides one behind something else means no good."""
    with path.open("rb") as file:
        return file.read(2) == b"PK" and zipfile.is_zipfile(file)


def main() -> int:
    """Read a request from standard input and print what was found, or why not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # KeyboardInterrupt amid an import would look like a crash
    sys.stdout.buffer.write(_BEGUN)
    sys.stdout.buffer.flush()
    threading.Thread(target=_end_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=IntakeRequest)
    resource.setrlimit(resource.RLIMIT_DATA, (request.memory_bytes, request.memory_bytes))
    try:
        answer: Intake | Refusal = examine(request)
    except ReconflowError as error:
        sentence = error.message.replace(request.upload, "the upload").replace(request.unpack_to, "its folder")
        answer = Refusal(kind=type(error).__name__, message=sentence)
    except MemoryError:
        answer = Refusal(kind="InputError", message="the photos need more memory than an upload may take")
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


def _end_with_parent(pipe: int) -> None:
    """Wait for the other end of a pipe to be closed: only the parent's end can do that."""
    os.read(pipe, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
