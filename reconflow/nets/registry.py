"""Names → extractors and matchers, each matcher with the level of evidence measured for the features it is given."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from reconflow.errors import ConfigError
from reconflow.nets.adalam import AdalamMatcher
from reconflow.nets.nearest import RatioMatcher
from reconflow.nets.protocols import Extractor, Matcher
from reconflow.nets.sift import Sift

_T = TypeVar("_T")

EXTRACTORS: Mapping[str, Callable[[], Extractor]] = {"sift": Sift}
"""Name → what makes the extractor."""

MATCHERS: Mapping[str, Callable[[int], Matcher]] = {"adalam": AdalamMatcher, "ratio": RatioMatcher}
"""Name → what makes the matcher from its acceptance level."""

_ACCEPTANCE_INLIERS: Mapping[tuple[str, str], int] = {("sift", "adalam"): 18, ("sift", "ratio"): 18}
"""Above the most inliers any of 400 pairs of unrelated photos reached: ``benchmarks/quality/pairs.py``."""


def create_extractor(name: str) -> Extractor:
    """Return the extractor of a name such as ``sift``.

    Raises
    ------
    ConfigError
        If there is none; it names those there are.

    """
    return _known("extractor", name, EXTRACTORS)()


def create_matcher(name: str, *, extractor: str = "sift") -> Matcher:
    """Return the matcher of a name such as ``adalam``, with its acceptance level for the extractor's features.

    Raises
    ------
    ConfigError
        If there is no such matcher or extractor; it names those there are.

    """
    make = _known("matcher", name, MATCHERS)
    _known("extractor", extractor, EXTRACTORS)
    return make(_ACCEPTANCE_INLIERS[extractor, name])


def _known(kind: str, name: str, table: Mapping[str, _T]) -> _T:
    try:
        return table[name]
    except KeyError:
        raise ConfigError(f"unknown {kind} {name!r}: choose one of {', '.join(sorted(table))}") from None
