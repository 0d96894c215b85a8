"""Names → extractors and matchers, each matcher with the level of evidence measured for the features it is given."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from reconflow.errors import ConfigError
from reconflow.nets.adalam import AdalamMatcher
from reconflow.nets.nearest import RatioMatcher
from reconflow.nets.protocols import Extractor, Matcher
from reconflow.nets.sift import Sift

_T = TypeVar("_T")

_EXTRACTORS: Mapping[str, Callable[[], Extractor]] = {"sift": Sift}

_MATCHERS: Mapping[str, Callable[[int], Matcher]] = {"adalam": AdalamMatcher, "ratio": RatioMatcher}

_ACCEPTANCE: Mapping[tuple[str, str], int] = {("sift", "adalam"): 15, ("sift", "ratio"): 20}


def create_extractor(name: str) -> Extractor:
    """Return the extractor of a name such as ``sift``."""
    return _known("extractor", name, _EXTRACTORS)()


def create_matcher(name: str, *, extractor: str = "sift") -> Matcher:
    """Return the matcher of a name such as ``adalam``, with its acceptance level for the extractor's features."""
    make = _known("matcher", name, _MATCHERS)
    _known("extractor", extractor, _EXTRACTORS)
    return make(_ACCEPTANCE[extractor, name])


def _known(kind: str, name: str, table: Mapping[str, _T]) -> _T:
    try:
        return table[name]
    except KeyError:
        raise ConfigError(f"unknown {kind} {name!r}: choose one of {', '.join(sorted(table))}") from None
