"""Matching a pair: every method on its own features, what they find put together, one verification."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from reconflow.config import MatchConfig, PipelineConfig, Precision
from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera
from reconflow.core.encodings import Encoding
from reconflow.core.features import Features
from reconflow.core.matches import Matches, TwoViewGeometry
from reconflow.core.pairs import Pair
from reconflow.core.union import FeatureUnion
from reconflow.nets.coarse import coarse_counts
from reconflow.nets.methods import Method, extractors_of, parse_methods
from reconflow.nets.protocols import Finish, ImageEncoder, Matcher, TileMatcher, TileView, matches_pairs, matches_tiles
from reconflow.nets.registry import MATCHERS, create_encoder, create_matcher
from reconflow.stages.verify import is_evidence, verify_pair


@dataclass(frozen=True)
class ReadyMethod:
    """A method with its matcher, and the features it reads."""

    method: Method
    matcher: Matcher | TileMatcher
    part: int | None
    """Number of the extractor among those of the run; None for a matcher that reads the union of several."""

    def features(self, photo: FeatureUnion) -> Features:
        """Return what the matcher reads of a photo."""
        return photo.features if self.part is None else photo.parts[self.part]

    def in_union(self, matches: Matches, a: FeatureUnion, b: FeatureUnion) -> Matches:
        """Return matches between two photos' features in rows of their unions."""
        if self.part is None or len(a.parts) == 1:
            return matches
        first, second = matches.indices.T
        return Matches(np.column_stack([a.rows[self.part][first], b.rows[self.part][second]]))


@functools.cache
def matcher(name: str, *, extractor: str) -> Matcher | TileMatcher:
    """Return this process's matcher of the name, with its acceptance level for the extractor's features."""
    return create_matcher(name, extractor=extractor)


@functools.cache
def ready_methods(extractors: str, matchers: str) -> tuple[ReadyMethod, ...]:
    """Return this process's methods for the names in ``extract.extractor`` and ``match.matcher``."""
    methods = parse_methods(extractors, matchers)
    order = extractors_of(methods)
    return tuple(
        ReadyMethod(
            method=method,
            matcher=matcher(method.matcher, extractor=method.extractors[0]),
            part=None if MATCHERS[method.matcher].unites else order.index(method.extractors[0]),
        )
        for method in methods
    )


def made_with(one: ReadyMethod) -> str:
    """Return what besides options decides whether a pair is verified: the matcher, its level, and the coarse pass."""
    coarse = f", coarsely alike at {one.method.alike}" if one.method.coarse and one.method.alike else ""
    return f"{one.matcher.made_with}, from {one.matcher.acceptance_inliers} inliers{coarse}"


@functools.cache
def encoder(name: str, precision: Precision) -> ImageEncoder:
    """Return this process's encoder of the name."""
    return create_encoder(name, precision=precision)


def tile_matches(
    one: ReadyMethod,
    photos: Sequence[FeatureUnion],
    encodings: Sequence[Encoding | None],
    pairs: Sequence[Pair],
    *,
    config: MatchConfig,
) -> Iterator[tuple[int, Finish]]:
    """Yield the place of each pair and what finishes its matches, for a method whose matcher takes tiles."""
    if not matches_tiles(one.matcher):
        raise ValueError(f"{one.matcher.name} matches pair by pair")
    views = [TileView(one.features(photo), own) for photo, own in zip(photos, encodings, strict=True)]
    for place, finish in one.matcher.match_tile(views, pairs, config=config):
        a, b = (photos[index] for index in pairs[place])
        yield place, partial(_in_union, one, finish, a, b)


def _in_union(one: ReadyMethod, finish: Finish, a: FeatureUnion, b: FeatureUnion) -> Matches:
    return one.in_union(finish(), a, b)


def pair_matches(one: ReadyMethod, a: FeatureUnion, b: FeatureUnion, *, config: MatchConfig) -> Matches:
    """Return the matches of a pair by a method whose matcher takes pairs one by one."""
    if not matches_pairs(one.matcher):
        raise ValueError(f"{one.matcher.name} matches tiles: give what it made")
    return one.in_union(one.matcher.match(one.features(a), one.features(b), config=config), a, b)


def coarse_reasons(
    photos: Sequence[FeatureUnion], pairs: Sequence[Pair], *, ready: Sequence[ReadyMethod], config: MatchConfig
) -> list[tuple[str, ...]]:
    """Return for each pair, by method, why the method need not try it; empty where it should."""
    reasons = [_hopeless(photos, pairs, one, config) for one in ready]
    return list(zip(*reasons, strict=True))


def match_pair(
    a: FeatureUnion,
    b: FeatureUnion,
    *,
    cameras: tuple[Camera, Camera],
    ready: Sequence[ReadyMethod],
    hopeless: Sequence[str],
    config: PipelineConfig,
    made: Mapping[int, Matches] | None = None,
) -> tuple[Matches, TwoViewGeometry, str]:
    """Return a pair's matches in rows of both unions, its geometry, and why it is no evidence of a common scene.

    Matches of all methods are verified together. They are evidence when those of one method alone are: its level was
    measured for itself, and adding methods must not make chance likelier. ``made`` holds what was matched before, by
    number of the method.
    """
    before = made or {}
    tried = [number for number, reason in enumerate(hopeless) if not reason]
    if not tried:
        return Matches.none(), TwoViewGeometry.undefined(), hopeless[0]
    found = [before[n] if n in before else pair_matches(ready[n], a, b, config=config.match) for n in tried]
    matches = together(found)
    geometry = verify_pair(matches, a.features, b.features, cameras=cameras, config=config.verify)
    doubts: dict[int, str] = {}
    for number, own in zip(tried, found, strict=True):
        inliers = len(geometry) if len(tried) == 1 else int(are_among(geometry.inliers, own.indices).sum())
        level = ready[number].matcher.acceptance_inliers
        doubt = is_evidence(geometry, len(own), acceptance_inliers=level, config=config.verify, inliers=inliers)
        doubts.setdefault(inliers, doubt)
        if not doubt:
            return matches, geometry, ""
    return matches, geometry, doubts[max(doubts)]


def together(found: Sequence[Matches]) -> Matches:
    """Put matches of several methods together, one-to-one: where two disagree the earlier one counts.

    At most one of them may bring points of its own.

    >>> a, b = Matches(np.array([[0, 5], [2, 2]])), Matches(np.array([[0, 6], [1, 1]]))
    >>> together([a, b]).indices.tolist()
    [[0, 5], [1, 1], [2, 2]]
    """
    if len(found) == 1:
        return found[0]
    dense = [matches for matches in found if len(matches.first) or len(matches.second)]
    if len(dense) > 1:
        raise ValueError(f"one method may bring points of its own, got {len(dense)}")
    pairs = np.concatenate([matches.indices for matches in found])
    for side in (0, 1):
        _, firsts = np.unique(pairs[:, side], return_index=True)
        pairs = pairs[np.sort(firsts)]
    pairs = pairs[np.argsort(pairs[:, 0])]
    return Matches(pairs, dense[0].first, dense[0].second) if dense else Matches(pairs)


def are_among(rows: Array, others: Array) -> Array:
    """Return which (M,) bool of (M, 2) ``rows`` are rows of (N, 2) ``others``.

    >>> are_among(np.array([[0, 5], [2, 2]]), np.array([[2, 2], [3, 1]]))
    array([False,  True])
    """
    codes, known = (pairs[:, 0].astype(np.int64) << 32 | pairs[:, 1] for pairs in (rows, others))
    return np.isin(codes, known)


def _hopeless(
    photos: Sequence[FeatureUnion], pairs: Sequence[Pair], one: ReadyMethod, config: MatchConfig
) -> list[str]:
    if config.coarse_keypoints == 0 or not one.method.coarse:
        return [""] * len(pairs)
    needed = config.coarse_min_matches
    features = [one.features(photo) for photo in photos]
    counts = coarse_counts(features, pairs, config=config, alike=one.method.alike)
    return ["" if n >= needed else f"coarse pass: {n} matches, {needed} needed" for n in counts]
