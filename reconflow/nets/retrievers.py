"""Who ranks whole photos by appearance: names in ``shortlist.retrieval``, and which of them this machine can run."""

from collections.abc import Sequence

import msgspec

from reconflow.errors import ConfigError
from reconflow.nets.registry import ENCODERS, missing_of_encoder

VLAD = "vlad"
"""The one that reads the features of the run."""

RETRIEVERS = (VLAD, *ENCODERS)
"""An encoder ranks photos by its tokens, pooled."""


class Retriever(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, and whether this machine can run it."""

    name: str
    usable: bool
    reason: str
    """What is missing and how to get it; empty where nothing is."""


def retrievers() -> list[Retriever]:
    """Return all of them, in the order of the table."""
    reasons = {name: "; ".join(_missing([name])) for name in RETRIEVERS}
    return [Retriever(name=name, usable=not reason, reason=reason) for name, reason in reasons.items()]


def parse_retrievers(text: str) -> tuple[str, ...]:
    """Return the names in ``shortlist.retrieval``, each once.

    >>> parse_retrievers("vlad, dinov2-vitb14")
    ('vlad', 'dinov2-vitb14')

    Raises
    ------
    ConfigError
        If one is unknown; it names those there are.

    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in RETRIEVERS:
            raise ConfigError(f"shortlist.retrieval: unknown retriever {name!r}: choose from {', '.join(RETRIEVERS)}")
    return tuple(dict.fromkeys(names))


def encoders_of_retrieval(names: Sequence[str]) -> tuple[str, ...]:
    """Return the encoders that must have seen the photos before these retrievers rank them."""
    return tuple(name for name in names if name in ENCODERS)


def why_retrieval_unusable(text: str) -> str:
    """Return what is missing on this machine for ``shortlist.retrieval``; empty where nothing is.

    Raises
    ------
    ConfigError
        If a name is unknown.

    """
    return "; ".join(dict.fromkeys(_missing(parse_retrievers(text))))


def _missing(names: Sequence[str]) -> list[str]:
    return [reason for encoder in encoders_of_retrieval(names) for reason in missing_of_encoder(encoder)]
