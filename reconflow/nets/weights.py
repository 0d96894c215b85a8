"""Weights of learned models on this machine: where they lie, and how they come here.

A file is looked for in ``RECONFLOW_WEIGHTS``, a folder with its sub-folders, then in the user's cache, and then
fetched from its authors. Weights are never part of reconflow: each set has its authors' licence, which is told before
the first use. Nothing in here imports torch.
"""

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from reconflow.core.cache import user_cache
from reconflow.errors import WeightsError
from reconflow.nets.catalogue import Weights, WeightsFile
from reconflow.nets.download import Progress, download, ignore_progress, record_of

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return where fetched weights go: below ``RECONFLOW_CACHE``, or the user's cache folder."""
    return user_cache() / "weights"


def find_weights(weights: Weights) -> tuple[Path, WeightsFile] | None:
    """Return the file of a set of weights that is on this machine, or None; a ``.safetensors`` twin counts as well."""
    for shelf in map(_shelf, _folders()):
        for file in weights.files:
            for name in (file.name, _twin(file.name)):
                if name in shelf:
                    return shelf[name], file if name == file.name else WeightsFile(name)
    return None


def obtain_weights(
    weights: Weights, *, on_progress: Progress = ignore_progress, tell: Callable[[str], None] | None = None
) -> Path:
    """Return a set's file on this machine, fetched from its authors where it is not here yet.

    Parameters
    ----------
    weights : Weights
        What is wanted.
    on_progress : callable
        Hears bytes done and bytes in all while a file is fetched; what it raises ends that.
    tell : callable, optional
        Hears the licence, in one sentence; the log by default.

    Raises
    ------
    WeightsError
        Which file is missing, where to get it and where to put it.

    """
    say = tell or logger.info
    found = find_weights(weights)
    if found is not None:
        if weights.restricted:
            _say_once(weights, say)
        return found[0]
    if obstacle := _obstacle(weights):
        raise WeightsError(_missing(weights, obstacle))
    [file, *_] = _with_address(weights)
    _say_once(weights, say)
    try:
        return download(file.url, cache_folder() / file.name, sha256=file.sha256, on_progress=on_progress)
    except WeightsError as error:
        raise WeightsError(_missing(weights, error.message)) from error


def obtain_all(
    needed: Sequence[Weights], *, next_best: str, obtain: Callable[[Weights], object] = obtain_weights
) -> None:
    """See to it that all of these weights are here; where one is not to be had, no other is fetched in vain.

    Parameters
    ----------
    needed : sequence of Weights
        What is wanted together.
    next_best : str
        What a person can do without them.
    obtain : callable
        As :func:`obtain_weights`.

    Raises
    ------
    WeightsError
        All that are not here, each with how to get it, and the next best.

    """
    refuse_out_of_reach(needed, next_best=next_best)
    for place, weights in enumerate(needed):
        try:
            obtain(weights)
        except WeightsError as error:
            raise _lacking([error.message, *map(absence, needed[place + 1 :])], next_best) from error


def refuse_out_of_reach(needed: Sequence[Weights], *, next_best: str) -> None:
    """Raise the error of :func:`obtain_all` where it is known before anything is fetched."""
    if any(_obstacle(weights) for weights in needed if not find_weights(weights)):
        raise _lacking(map(absence, needed), next_best)


def absence(weights: Weights) -> str:
    """Return one sentence on how to get weights that are not on this machine; empty where they are."""
    if find_weights(weights):
        return ""
    return _missing(weights, _obstacle(weights) or f"`reconflow weights fetch {weights.name}` gets it")


def expected_sha256(path: Path, file: WeightsFile) -> str:
    """Return the digest a file should have: the one reconflow is tested with, or that of its first download.

    Empty where neither is known.
    """
    if file.sha256:
        return file.sha256
    record = record_of(path)
    return record.read_text(encoding="utf-8").partition(" ")[0] if record.is_file() else ""


def weights_fingerprint(weights: Weights) -> str:
    """Return the start of the SHA-256 of the file in use: part of the cache key of everything made with it."""
    return sha256_of(obtain_weights(weights))[:16]


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file; the same file is read once."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@functools.cache
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folders() -> list[Path]:
    own = os.environ.get("RECONFLOW_WEIGHTS")
    return ([Path(own).expanduser()] if own else []) + [cache_folder()]


def _shelf(folder: Path) -> dict[str, Path]:
    """Return every file below a folder by name, and of one name the shallowest."""
    inside: list[Path] = []
    seen: set[str] = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(at)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        inside += [path for name in names if (path := Path(at, name)).is_file()]
    found: dict[str, Path] = {}
    for path in sorted(inside, key=lambda path: (len(path.parts), path)):
        found.setdefault(path.name, path)
    return found


def _twin(name: str) -> str:
    return f"{Path(name).stem}.safetensors"


def _with_address(weights: Weights) -> list[WeightsFile]:
    return [file for file in weights.files if file.url]


def _obstacle(weights: Weights) -> str:
    """Return why weights cannot be fetched; empty where that may be tried."""
    if not _with_address(weights):
        return "there is no address"
    return "RECONFLOW_OFFLINE is set" if os.environ.get("RECONFLOW_OFFLINE") else ""


def _lacking(reasons: Iterable[str], next_best: str) -> WeightsError:
    return WeightsError(f"{'; '.join(filter(None, reasons))}; without them {next_best} is the next best")


def _missing(weights: Weights, why: str) -> str:
    names = " or ".join(file.name for file in weights.files)
    place = os.environ.get("RECONFLOW_WEIGHTS") or cache_folder()
    return f"the weights {weights.name} are not here ({why}): get {names} from {weights.source} and put it into {place}"


_told: set[str] = set()


def _say_once(weights: Weights, say: Callable[[str], None]) -> None:
    if weights.name not in _told:
        _told.add(weights.name)
        say(f"the weights {weights.name} are licensed by their authors: {weights.licence} ({weights.source})")
