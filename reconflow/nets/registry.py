"""Names → extractors and matchers, and which of them go together on this machine.

An implementation is imported when it is made: the web process reads this table too, and torch takes seconds to load.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from reconflow.config import Precision
from reconflow.errors import ConfigError, DependencyError
from reconflow.nets.catalogue import weights_named
from reconflow.nets.protocols import Extractor, ImageEncoder, Matcher, TileMatcher
from reconflow.nets.weights import absence

_T = TypeVar("_T")

_LEARNED_PACKAGES = ("torch", "kornia")

AUTO = "auto"
"""Stands for an extractor or a matcher that a run chooses when it starts: ``nets/choice.py``."""
CHEAPEST = "sift"
"""The extractor that needs nothing: that of a matcher which looks at no keypoints, and of ``auto`` outside a run."""


def _sift() -> Extractor:
    from reconflow.nets.sift import Sift

    return Sift()


def _aliked(name: str) -> Callable[[], Extractor]:
    def make() -> Extractor:
        from reconflow.nets.aliked import Aliked

        return Aliked(name)

    return make


def _xfeat() -> Extractor:
    from reconflow.nets.xfeat import XFeatExtractor

    return XFeatExtractor()


def _superpoint(name: str) -> Callable[[], Extractor]:
    def make() -> Extractor:
        from reconflow.nets.superpoint import SuperPoint

        return SuperPoint(name)

    return make


def _adalam(_: str, level: int) -> Matcher:
    from reconflow.nets.adalam import AdalamMatcher

    return AdalamMatcher(level)


def _ratio(_: str, level: int) -> Matcher:
    from reconflow.nets.nearest import RatioMatcher

    return RatioMatcher(level)


def _mnn(extractor: str, level: int) -> Matcher:
    from reconflow.nets.similarity import MutualMatcher

    return MutualMatcher(level, _LEAST_SIMILARITY.get(extractor, 0.0))


def _lightglue(extractor: str, level: int) -> TileMatcher:
    from reconflow.nets.lightglue import LightGlueMatcher

    return LightGlueMatcher(level, _LIGHTGLUE_WEIGHTS[extractor])


def _mast3r(name: str) -> Callable[[str, int], TileMatcher]:
    def make(_: str, level: int) -> TileMatcher:
        from reconflow.nets.mast3r.matcher import Mast3rMatcher

        return Mast3rMatcher(level, hybrid=name == "mast3r_hybrid")

    return make


def _mast3r_encoder(precision: Precision) -> ImageEncoder:
    from reconflow.nets.mast3r.encoder import Mast3rEncoder

    return Mast3rEncoder(precision=precision)


def _dinov2_encoder(name: str) -> Callable[[Precision], ImageEncoder]:
    def make(precision: Precision) -> ImageEncoder:
        from reconflow.nets.dinov2 import Dinov2Encoder

        return Dinov2Encoder(name, precision=precision)

    return make


@dataclass(frozen=True)
class ExtractorEntry:
    """How an extractor is made, and what it needs."""

    make: Callable[[], Extractor]
    weights: tuple[str, ...] = ()
    """Names of the weights it cannot do without."""
    learned: bool = False
    """Runs on torch, and on a GPU where there is one."""
    coarse: bool = False
    """The coarse pass can tell hopeless pairs: by its largest keypoints, or where ``alike`` is given by the surest."""
    alike: float = 0.0
    """Dot product that descriptors of a common scene reach in the coarse pass, and few of others."""


@dataclass(frozen=True)
class MatcherEntry:
    """How a matcher is made for an extractor's features and a level of evidence, and what it needs."""

    make: Callable[[str, int], Matcher | TileMatcher]
    weights: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name of the weights it cannot do without, by extractor."""
    learned: bool = False
    """Runs on torch, and on a GPU where there is one."""
    unites: bool = False
    """Takes the keypoints of several extractors at once, and no descriptors."""
    encoder: str = ""
    """Name of the encoder whose encodings of the photos it reads."""
    dense: bool = False
    """Finds places of its own and looks at no keypoints, so that it may be named without an extractor."""


@dataclass(frozen=True)
class EncoderEntry:
    """How an encoder of a precision is made, and what it needs; all of them are networks."""

    make: Callable[[Precision], ImageEncoder]
    weights: str
    """Name of the weights it cannot do without."""


_ALIKED = ("aliked-t16", "aliked-n16", "aliked-n16rot", "aliked-n32")
_SUPERPOINT = ("superpoint", "superpoint-open")
_DINOV2 = ("dinov2-vits14", "dinov2-vitb14", "dinov2-vitl14")
_LIGHTGLUE_WEIGHTS: Mapping[str, str] = {
    **dict.fromkeys(_ALIKED[1:], "lightglue-aliked"),
    "superpoint": "lightglue-superpoint",
    "xfeat": "lighterglue-xfeat",
}

_LEAST_SIMILARITY: Mapping[str, float] = {**dict.fromkeys(_ALIKED, 0.65), "xfeat": 0.82}
"""Of mutual nearest neighbours, by extractor. Without it 412 (ALIKED) and 631 (XFeat) of 820 pairs of unrelated
photos passed the level of evidence; with it none does. The coarse pass has limits of its own, since it must lose no
pair: ``benchmarks/quality/coarse.py``."""

EXTRACTORS: Mapping[str, ExtractorEntry] = {
    "sift": ExtractorEntry(_sift, coarse=True),
    **{name: ExtractorEntry(_aliked(name), (name,), learned=True, coarse=True, alike=0.65) for name in _ALIKED},
    **{name: ExtractorEntry(_superpoint(name), (name,), learned=True) for name in _SUPERPOINT},
    "xfeat": ExtractorEntry(_xfeat, ("xfeat",), learned=True, coarse=True, alike=0.84),
}
"""Name → how the extractor is made."""

ENCODERS: Mapping[str, EncoderEntry] = {
    "mast3r": EncoderEntry(_mast3r_encoder, "mast3r"),
    **{name: EncoderEntry(_dinov2_encoder(name), name) for name in _DINOV2},
}
"""Name → how the encoder is made."""

MATCHERS: Mapping[str, MatcherEntry] = {
    "adalam": MatcherEntry(_adalam),
    "ratio": MatcherEntry(_ratio),
    "mnn": MatcherEntry(_mnn),
    "lightglue": MatcherEntry(_lightglue, _LIGHTGLUE_WEIGHTS, learned=True),
    "lighterglue": MatcherEntry(_lightglue, _LIGHTGLUE_WEIGHTS, learned=True),
    **{
        name: MatcherEntry(
            _mast3r(name),
            dict.fromkeys(EXTRACTORS, "mast3r"),
            learned=True,
            unites=True,
            encoder="mast3r",
            dense=name == "mast3r",
        )
        for name in ("mast3r", "mast3r_hybrid")
    },
}
"""Name → how the matcher is made."""

ACCEPTANCE_INLIERS: Mapping[tuple[str, str], int] = {
    ("sift", "adalam"): 18,
    ("sift", "ratio"): 18,
    **{(name, "adalam"): 20 for name in _ALIKED},
    ("aliked-n16", "adalam"): 25,
    **{(name, "mnn"): 25 for name in _ALIKED},
    **{(name, "lightglue"): 60 for name in _ALIKED[1:]},
    **{(name, "mnn"): 40 for name in _SUPERPOINT},
    ("superpoint", "lightglue"): 60,
    ("xfeat", "mnn"): 40,
    ("xfeat", "lighterglue"): 30,
    ("sift", "mast3r"): 60,
    **{(name, "mast3r_hybrid"): 60 for name in EXTRACTORS},
}
"""Which matchers go with which extractor, first the one that suits it best without a network, and the level of evidence
of both together: above the most inliers any of 820 pairs of unrelated photos reached in
``benchmarks/quality/pairs.py``; of 200 for LighterGlue and, with ALIKED-n16rot, LightGlue. SuperPoint's and MASt3R's
could not be measured, for want of weights."""


class Combination(msgspec.Struct, frozen=True, kw_only=True):
    """An extractor with a matcher, and whether this machine can run both."""

    name: str
    """Such as ``sift+adalam``."""
    extractor: str
    matcher: str
    usable: bool
    reason: str
    """What is missing and how to get it; empty where nothing is."""
    lacks: tuple[str, ...] = ()
    """Names of the weights that are missing; empty too where it is packages that are."""


def combinations() -> list[Combination]:
    """Return all extractors with the matchers that go with them, in the order of the table."""
    return [combination(extractor, matcher) for extractor, matcher in ACCEPTANCE_INLIERS]


def combination(extractor: str, matcher: str) -> Combination:
    """Return what is known of one extractor with one matcher.

    Raises
    ------
    ConfigError
        If there is no such extractor or matcher, or they do not go together.

    """
    acceptance_inliers(extractor, matcher)
    lacks = _lacks(extractor, matcher)
    return Combination(
        name=f"{extractor}+{matcher}",
        extractor=extractor,
        matcher=matcher,
        usable=not lacks,
        reason="; ".join(lacks.values()),
        lacks=tuple(name for name in lacks if name),
    )


def create_extractor(name: str) -> Extractor:
    """Return the extractor of a name such as ``sift``; ``auto``, which a run settles, is that one here.

    Raises
    ------
    ConfigError
        If there is none; it names those there are.
    DependencyError
        If it needs packages that are not installed.

    """
    entry = _known("extractor", CHEAPEST if name == AUTO else name, EXTRACTORS)
    _require_packages(name, learned=entry.learned)
    return entry.make()


def create_encoder(name: str, *, precision: Precision = "auto") -> ImageEncoder:
    """Return the encoder of a name such as ``mast3r``.

    Raises
    ------
    ConfigError
        If there is none; it names those there are.
    DependencyError
        If it needs packages that are not installed.

    """
    entry = _known("encoder", name, ENCODERS)
    _require_packages(name, learned=True)
    return entry.make(precision)


def create_matcher(name: str, *, extractor: str = "sift") -> Matcher | TileMatcher:
    """Return the matcher of a name such as ``adalam``, with its acceptance level for the extractor's features.

    Outside a run ``auto`` is what suits the extractor without a network.

    Raises
    ------
    ConfigError
        If there is no such matcher or extractor, or they do not go together; it names those there are.
    DependencyError
        If it needs packages that are not installed.

    """
    extractor = CHEAPEST if extractor == AUTO else extractor
    name = matchers_of(extractor)[0] if name == AUTO else name
    level = acceptance_inliers(extractor, name)
    entry = MATCHERS[name]
    _require_packages(name, learned=entry.learned)
    return entry.make(extractor, level)


def acceptance_inliers(extractor: str, matcher: str) -> int:
    """Return the level of evidence of an extractor with a matcher, or raise :class:`ConfigError`."""
    _known("matcher", matcher, MATCHERS)
    _known("extractor", extractor, EXTRACTORS)
    try:
        return ACCEPTANCE_INLIERS[extractor, matcher]
    except KeyError:
        fitting = ", ".join(matchers_of(extractor))
        raise ConfigError(f"{matcher} does not match features of {extractor}: choose one of {fitting}") from None


def matchers_of(extractor: str) -> list[str]:
    """Return the matchers that go with an extractor, in the order of the table, or raise :class:`ConfigError`."""
    _known("extractor", extractor, EXTRACTORS)
    return [matcher for name, matcher in ACCEPTANCE_INLIERS if name == extractor]


def extractors_for(matcher: str) -> list[str]:
    """Return the extractors that go with a matcher, in the order of the table, or raise :class:`ConfigError`."""
    _known("matcher", matcher, MATCHERS)
    return [extractor for extractor, name in ACCEPTANCE_INLIERS if name == matcher]


def missing(extractor: str, matcher: str) -> list[str]:
    """Return what an extractor with a matcher lacks on this machine, each with how to get it."""
    return list(_lacks(extractor, matcher).values())


def missing_of_encoder(name: str) -> list[str]:
    """Return what an encoder lacks on this machine, each with how to get it."""
    reason = _absent_packages() or absence(weights_named(ENCODERS[name].weights))
    return [reason] if reason else []


def _lacks(extractor: str, matcher: str) -> dict[str, str]:
    """Return how to get what is missing, by the name of the weights; packages, which come first, have none."""
    features, matching = EXTRACTORS[extractor], MATCHERS[matcher]
    if (features.learned or matching.learned) and (absent := _absent_packages()):
        return {"": absent}
    needed = [*features.weights, *([matching.weights[extractor]] if extractor in matching.weights else [])]
    return {name: reason for name in needed if (reason := absence(weights_named(name)))}


def _require_packages(name: str, *, learned: bool) -> None:
    if learned and (absent := _absent_packages()):
        raise DependencyError(f"{name} cannot run: {absent}")


def _absent_packages() -> str:
    absent = [package for package in _LEARNED_PACKAGES if importlib.util.find_spec(package) is None]
    return f"{' and '.join(absent)} not installed: pip install 'reconflow[learned]'" if absent else ""


def _known(kind: str, name: str, table: Mapping[str, _T]) -> _T:
    try:
        return table[name]
    except KeyError:
        raise ConfigError(f"unknown {kind} {name!r}: choose one of {', '.join(sorted(table))}") from None
