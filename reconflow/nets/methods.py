"""Which extractors and matchers a run uses: one of each, or several whose keypoints and matches are put together."""

from dataclasses import dataclass

from reconflow.errors import ConfigError
from reconflow.nets.catalogue import Weights, weights_named
from reconflow.nets.registry import CHEAPEST, EXTRACTORS, MATCHERS, acceptance_inliers, missing


@dataclass(frozen=True)
class Method:
    """A matcher and the extractor whose features it matches; several for a matcher that unites their keypoints."""

    extractors: tuple[str, ...]
    matcher: str

    def __str__(self) -> str:
        return "+".join((*self.extractors, self.matcher))

    @property
    def learned(self) -> bool:
        """Whether the matcher runs on torch."""
        return MATCHERS[self.matcher].learned

    @property
    def coarse(self) -> bool:
        """Whether the coarse pass can tell hopeless pairs; a matcher that unites keypoints has no use for it."""
        return EXTRACTORS[self.extractors[0]].coarse and not MATCHERS[self.matcher].unites

    @property
    def alike(self) -> float:
        """Dot product that the coarse pass asks for; 0 where it goes by a ratio."""
        return EXTRACTORS[self.extractors[0]].alike


def parse_methods(extractors: str, matchers: str) -> tuple[Method, ...]:
    """Pair the names in ``extract.extractor`` with those in ``match.matcher``, both separated by commas.

    The first extractor goes with the first matcher and so on; a single matcher goes with all of them.

    >>> parse_methods("sift, aliked-n16rot", "adalam, mnn")
    (Method(extractors=('sift',), matcher='adalam'), Method(extractors=('aliked-n16rot',), matcher='mnn'))

    Raises
    ------
    ConfigError
        If a name is unknown, two do not go together, or their numbers differ.

    """
    features, matching = names_in(extractors), names_in(matchers)
    if len(matching) == 1 and matching[0] in MATCHERS and MATCHERS[matching[0]].unites:
        for name in features:
            acceptance_inliers(name, matching[0])
        return (Method(tuple(features), matching[0]),)
    if len(matching) == 1:
        matching *= len(features)
    if len(matching) != len(features):
        raise ConfigError(
            f"match.matcher names {len(matching)} matchers for {len(features)} extractors: name one for each"
        )
    for extractor, matcher in zip(features, matching, strict=True):
        acceptance_inliers(extractor, matcher)
    return tuple(dict.fromkeys(Method((e,), m) for e, m in zip(features, matching, strict=True)))


def extractors_of(methods: tuple[Method, ...]) -> tuple[str, ...]:
    """Return every extractor once, in the order in which their keypoints are united."""
    return tuple(dict.fromkeys(name for method in methods for name in method.extractors))


def needs_upright(methods: tuple[Method, ...]) -> bool:
    """Tell whether a network looks at the photos: all of them were trained on photos that stand upright."""
    return any(EXTRACTORS[name].learned for name in extractors_of(methods)) or any(one.learned for one in methods)


def encoder_of(methods: tuple[Method, ...]) -> str:
    """Return the name of the encoder that a matcher of the run reads; empty where none does.

    Raises
    ------
    ConfigError
        If there are several.

    """
    names = sorted({MATCHERS[method.matcher].encoder for method in methods} - {""})
    if len(names) > 1:
        raise ConfigError(f"match.matcher: one run can use one encoder, not {' and '.join(names)}")
    return names[0] if names else ""


def weights_of(methods: tuple[Method, ...]) -> list[Weights]:
    """Return the weights a run cannot do without."""
    names = [name for extractor in extractors_of(methods) for name in EXTRACTORS[extractor].weights]
    for method in methods:
        table = MATCHERS[method.matcher].weights
        names += [table[extractor] for extractor in method.extractors if extractor in table]
    return [weights_named(name) for name in dict.fromkeys(names)]


def why_unusable(extractors: str, matchers: str) -> str:
    """Return what is missing on this machine for a run of these methods; empty where nothing is.

    Raises
    ------
    ConfigError
        If a name is unknown, two do not go together, or their numbers differ.

    """
    methods = parse_methods(extractors, matchers)
    pairs = [(extractor, method.matcher) for method in methods for extractor in method.extractors]
    return "; ".join(dict.fromkeys(reason for pair in pairs for reason in missing(*pair)))


def split_combination(text: str) -> tuple[str, str]:
    """Return what ``extract.extractor`` and ``match.matcher`` are for ``EXTRACTOR+MATCHER``, or several of them.

    >>> split_combination("sift+adalam,aliked-n16rot+mnn")
    ('sift,aliked-n16rot', 'adalam,mnn')
    >>> split_combination("aliked-n16rot+superpoint+mast3r_hybrid")
    ('aliked-n16rot,superpoint', 'mast3r_hybrid')
    >>> split_combination("mast3r")
    ('sift', 'mast3r')

    Raises
    ------
    ConfigError
        If it is no such text.

    """
    if text in MATCHERS and MATCHERS[text].dense:
        return CHEAPEST, text
    parts = [part.split("+") for part in text.split(",")]
    if not all(len(part) >= 2 and all(part) for part in parts) or (len(parts) > 1 and max(map(len, parts)) > 2):
        raise ConfigError(f"{text!r}: write it as EXTRACTOR+MATCHER, for example sift+adalam")
    extractors = [name.strip() for part in parts for name in part[:-1]]
    return ",".join(extractors), ",".join(part[-1].strip() for part in parts)


def names_in(text: str) -> list[str]:
    """Return the names in ``extract.extractor`` or ``match.matcher``.

    Raises
    ------
    ConfigError
        If one of them is empty.

    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"{text!r} names nothing: write a name, or several separated by commas")
    return names
