"""Weights of learned models: what there is, whose it is, and where it lies on this machine.

A file is looked for in ``RECONFLOW_WEIGHTS``, a folder with its sub-folders, then in the user's cache, and then
fetched from its authors. Weights are never part of reconflow: each set has its authors' licence, which is told before
the first use. Nothing in here imports torch.
"""

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconflow.errors import ConfigError, WeightsError
from reconflow.nets.download import Progress, download, ignore_progress, record_of

logger = logging.getLogger(__name__)

_ALIKED = "https://github.com/Shiaoming/ALIKED/raw/main/models"
_XFEAT = "https://github.com/verlab/accelerated_features/raw/main/weights"
_LIGHTGLUE = "https://github.com/cvg/LightGlue/releases/download/v0.1_arxiv"
_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"
_MAST3R = "https://download.europe.naverlabs.com/ComputerVision/MASt3R"


@dataclass(frozen=True)
class WeightsFile:
    """One file that holds a set of weights."""

    name: str
    sha256: str = ""
    """Hex digest of the file reconflow is tested with; empty where there was none."""
    url: str = ""
    """Where it can be fetched; empty for a file that only circulates under this name."""


@dataclass(frozen=True)
class Weights:
    """A set of weights, in any one of several files: the first that is here counts."""

    name: str
    """What it is called in messages and in ``reconflow weights``."""
    files: tuple[WeightsFile, ...]
    licence: str
    source: str
    """Page of its authors."""
    size_mb: float
    restricted: bool = False
    """The licence forbids some uses, so it is told at every use and not only when fetched."""


def _aliked(model: str, digest: str, size_mb: float) -> Weights:
    files = (WeightsFile(f"{model}.pth", digest, f"{_ALIKED}/{model}.pth"),)
    return Weights(model, files, "BSD-3-Clause", "https://github.com/Shiaoming/ALIKED", size_mb)


def _lightglue(features: str, digest: str = "") -> Weights:
    name = f"{features}_lightglue.pth"
    files = (WeightsFile(name, digest, f"{_LIGHTGLUE}/{name}"), WeightsFile(f"{features}_lightglue_v0-1_arxiv.pth"))
    page = "https://github.com/cvg/LightGlue"
    return Weights(f"lightglue-{features}", files, "Apache-2.0", page, 47.0)


def _dinov2(model: str, size_mb: float) -> Weights:
    name = f"dinov2_{model}"
    files = (WeightsFile(f"{name}_pretrain.pth", url=f"{_DINOV2}/{name}/{name}_pretrain.pth"),)
    return Weights(f"dinov2-{model}", files, "Apache-2.0", "https://github.com/facebookresearch/dinov2", size_mb)


_ALL = (
    _aliked("aliked-t16", "56782336919db220144a884e710e2b6af13b3b8f8da15b915a239078ab471085", 0.8),
    _aliked("aliked-n16", "5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2", 2.7),
    _aliked("aliked-n16rot", "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332", 2.7),
    _aliked("aliked-n32", "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890", 3.9),
    Weights(
        "xfeat",
        (
            WeightsFile(
                "xfeat_backbone_bnfolded.pt", "8120e5b9736c90f481ee30da72443edea761ab28f01d0fc47c14e391ef3d9b2c"
            ),
            WeightsFile(
                "xfeat.pt", "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b", f"{_XFEAT}/xfeat.pt"
            ),
        ),
        "Apache-2.0",
        "https://github.com/verlab/accelerated_features",
        6.2,
    ),
    Weights(
        "lighterglue-xfeat",
        (
            WeightsFile("xfeat_lighterglue_L3.pt", "61a291f24c4ce8c612d1cba2a1258d111aca9f429902e5dcc3a14999fd6f551c"),
            WeightsFile(
                "xfeat-lighterglue.pt",
                "766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8",
                f"{_XFEAT}/xfeat-lighterglue.pt",
            ),
        ),
        "Apache-2.0",
        "https://github.com/verlab/accelerated_features",
        2.3,
    ),
    _lightglue("aliked", "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503"),
    _lightglue("superpoint"),
    Weights(
        "superpoint",
        (
            WeightsFile(
                "superpoint_v1.pth",
                url="https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth",
            ),
        ),
        "Magic Leap: non-commercial research only",
        "https://github.com/magicleap/SuperPointPretrainedNetwork",
        5.2,
        restricted=True,
    ),
    Weights(
        "superpoint-open",
        (
            WeightsFile(
                "superpoint_v6_from_tf.pth",
                url="https://github.com/rpautrat/SuperPoint/raw/master/weights/superpoint_v6_from_tf.pth",
            ),
        ),
        "MIT",
        "https://github.com/rpautrat/SuperPoint",
        5.2,
    ),
    Weights(
        "mast3r",
        (
            WeightsFile(
                "MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric.pth",
                url=f"{_MAST3R}/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric.pth",
            ),
        ),
        "CC BY-NC-SA 4.0, and the terms of its training data (the mapfree data set's forbid commercial use)",
        "https://github.com/naver/mast3r",
        2750.0,
        restricted=True,
    ),
    _dinov2("vits14", 88.0),
    _dinov2("vitb14", 346.0),
    _dinov2("vitl14", 1217.0),
)

WEIGHTS: Mapping[str, Weights] = {weights.name: weights for weights in _ALL}
"""Every set of weights reconflow can use, by name."""


def weights_named(name: str) -> Weights:
    """Return the entry of a name such as ``aliked-n16rot``.

    Raises
    ------
    ConfigError
        If there is none; it names those there are.

    """
    try:
        return WEIGHTS[name]
    except KeyError:
        raise ConfigError(f"unknown weights {name!r}: choose one of {', '.join(WEIGHTS)}") from None


def cache_folder() -> Path:
    """Return where fetched weights go: below ``RECONFLOW_CACHE``, or the user's cache folder."""
    own = os.environ.get("RECONFLOW_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reconflow"
    return base / "weights"


def find_weights(weights: Weights) -> tuple[Path, WeightsFile] | None:
    """Return the file of a set of weights that is on this machine, or None; a ``.safetensors`` twin counts as well."""
    shelf = _shelf()
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
    say = tell or logger.warning
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


def _shelf() -> dict[str, Path]:
    """Return every file of the weights folder and the cache by name: the folder first, the shallowest path first."""
    own = os.environ.get("RECONFLOW_WEIGHTS")
    found: dict[str, Path] = {}
    for folder in ([Path(own)] if own else []) + [cache_folder()]:
        inside = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
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
