"""The weights of learned models that reconflow can use: whose they are, their licences, and where they may be had."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconflow.errors import ConfigError

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
