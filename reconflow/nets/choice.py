"""What ``auto`` comes to: the extractor and the matcher that a run takes where it was not told which."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from reconflow.config import PipelineConfig
from reconflow.nets.methods import names_in, parse_methods
from reconflow.nets.registry import AUTO, EXTRACTORS, MATCHERS, extractors_for, matchers_of, missing

_ON_CORES = ("sift", "adalam")
"""Needs no weights, and no network, which would take its time on cores."""
_ON_GPUS = ("aliked-n16rot", "lightglue")


class Choice(NamedTuple):
    """What a run puts for ``extract.extractor`` and ``match.matcher``."""

    extractors: str
    matchers: str
    why: str
    """For a person, in one sentence; empty where nothing was open, or all of it and workers offer no GPU."""


def chosen(
    extractors: str, matchers: str, *, gpus: bool, lacks: Callable[[str, str], Sequence[str]] = missing
) -> Choice:
    """Return the methods that ``extract.extractor`` and ``match.matcher`` stand for.

    Where one of both is open it suits the other. Nothing is fetched for the sake of ``auto``: of what would suit, the
    first counts that lacks least. MASt3R is never chosen, whose licence not everybody can take.

    Parameters
    ----------
    extractors, matchers : str
        Names separated by commas, or ``auto``.
    gpus : bool
        Whether workers offer GPUs.
    lacks : callable
        An extractor and a matcher → what is missing for them, each with how to get it.

    Raises
    ------
    ConfigError
        If a name is unknown, two do not go together, or their numbers differ.

    """
    if AUTO not in (extractors, matchers):
        parse_methods(extractors, matchers)
        return Choice(extractors, matchers, "")
    suiting = _suiting(extractors, matchers, gpus=gpus)
    best = [min(pairs, key=lambda pair: len(lacks(*pair))) for pairs in suiting]
    features, matching = zip(*best, strict=True)
    names = ",".join(features), matching[0] if len(set(matching)) == 1 else ",".join(matching)
    better = [pairs[0] for pairs, own in zip(suiting, best, strict=True) if own != pairs[0]]
    left = "; ".join(f"{'+'.join(pair)} cannot run: {'; '.join(lacks(*pair))}" for pair in better)
    methods = " and ".join(map(str, parse_methods(*names)))
    if extractors != matchers:
        option = "match.matcher" if matchers == AUTO else "extract.extractor"
        why = f"{option} is auto: {methods} match photos{left and f'; {left}'}"
    elif gpus:
        offered = f"workers offer GPUs, {f'but {left}' if left else 'and the weights are here'}"
        why = f"extract.extractor and match.matcher are auto: {methods} match photos; {offered}"
    else:
        why = ""
    return Choice(*names, why)


def _suiting(extractors: str, matchers: str, *, gpus: bool) -> list[list[tuple[str, str]]]:
    """Return for each method of a run the pairs of extractor and matcher that it may be, the best first."""
    if extractors == AUTO == matchers:
        return [[_ON_GPUS, _ON_CORES] if gpus else [_ON_CORES]]
    if matchers == AUTO:
        return [[(name, other) for other in _matchers(name, gpus=gpus)] for name in names_in(extractors)]
    return [[(other, name) for other in _extractors(name, gpus=gpus)] for name in names_in(matchers)]


def with_methods(config: PipelineConfig, extractors: str, matchers: str) -> PipelineConfig:
    """Return a configuration with these extractors and matchers in it."""
    return msgspec.structs.replace(
        config,
        extract=msgspec.structs.replace(config.extract, extractor=extractors),
        match=msgspec.structs.replace(config.match, matcher=matchers),
    )


def _matchers(extractor: str, *, gpus: bool) -> list[str]:
    own = [name for name in matchers_of(extractor) if not MATCHERS[name].encoder]
    return sorted(own, key=lambda name: MATCHERS[name].learned != gpus)


def _extractors(matcher: str, *, gpus: bool) -> list[str]:
    return sorted(
        extractors_for(matcher),
        key=lambda name: (EXTRACTORS[name].learned != gpus, name not in (*_ON_GPUS, *_ON_CORES)),
    )
