"""The body of the task that matches the pairs of a tile, run on workers.

A pair that fails costs itself: it is returned with the reason.
"""

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from reconflow.config import PipelineConfig
from reconflow.core.encodings import Encoding
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.core.pairs import Pair
from reconflow.core.union import FeatureUnion, unite
from reconflow.nets.protocols import Finish, matches_tiles
from reconflow.pipeline.control import TaskControl
from reconflow.pipeline.matching import (
    ReadyMethod,
    coarse_reasons,
    match_pair,
    pair_matches,
    ready_methods,
    tile_matches,
)
from reconflow.pipeline.overlap import Ahead, overlapped
from reconflow.pipeline.photo_cache import PhotoCache
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.tasks import attempted
from reconflow.pipeline.work_items import MatchTask, TileImage
from reconflow.pipeline.worker import bound_memory, on_gpu, threads_beside_gpu
from reconflow.store.encodings import read_encodings
from reconflow.store.features import read_features
from reconflow.store.geometries import GeometryStore, MatchedPair, StoredPair
from reconflow.store.packs import ItemRef
from reconflow.store.root import Root, open_root


class MatchOutcome(msgspec.Struct, frozen=True):
    """What the pairs came to, by pair key, and which failed."""

    pairs: dict[str, StoredPair]
    failed: dict[str, str]
    """Which methods failed and why. A pair whose other methods did not fail stands among ``pairs`` too."""
    asked: int
    """Features and encodings of photos that the tile needed."""
    read: int
    """How many of them came from the store, because the worker did not have them at hand."""


def match(task: MatchTask, context: RunContext) -> MatchOutcome:
    """Match and verify the pairs of a tile into one pack; hopeless pairs end after the coarse pass."""
    control = TaskControl(context.line, stage="match", task=task.key)
    root = open_root(context.store)
    config = context.config
    ready = ready_methods(config.extract.extractor, config.match.matcher)
    learned = any(one.method.learned for one in ready)
    threads = threads_beside_gpu(config.execution, gpu=learned and on_gpu(offered=control.has_gpu))
    bound_memory(context, needed=learned)
    cache = photo_cache(config.execution.feature_cache_mb)
    ahead().wait()
    features, encoded, read = _photos(task.images, root, cache)
    photos = [unite([features[ref] for ref in image.refs]) for image in task.images]
    encodings = [encoded.get(image.encoding) if image.encoding else None for image in task.images]
    coming = ahead().begin(partial(_photos, task.then, root, cache)) if threads and task.then else None
    pairs = [(pair.first, pair.second) for pair in task.pairs]
    hopeless = coarse_reasons(photos, pairs, ready=ready, config=config.match)
    tile = _Tile(task, photos, encodings, pairs, ready, hopeless, config)
    matched: dict[int, MatchedPair] = {}
    failed: dict[str, str] = {}
    calls = (partial(_finished, tile, place, found) for place, found in _by_pair(tile, control))
    with overlapped(calls, threads=threads) as finished:
        for done, (place, made, reason) in enumerate(finished):
            if made:
                matched[place] = made
            if reason:
                failed[task.pairs[place].key] = reason
            control.advance(done + 1)
    written = GeometryStore(root, context.geometries).write([matched[place] for place in sorted(matched)])
    if coming is not None:
        read += _read_ahead(coming)
    return MatchOutcome(written, failed, len(features) + len(encoded), read)


def _photos(
    images: Sequence[TileImage], root: Root, cache: PhotoCache
) -> tuple[dict[ItemRef, Features], dict[ItemRef, Encoding], int]:
    """Return features and encodings of photos, and how many of them were not at hand."""
    features, read = cache.read(root, [ref for image in images for ref in image.refs], by=read_features)
    encodings, more = cache.read(root, [image.encoding for image in images if image.encoding], by=read_encodings)
    return features, encodings, read + more


def _read_ahead(coming: Future[tuple[Any, Any, int]]) -> int:
    """Return how much was read for the next tile; nothing where that failed, since the next tile will meet it."""
    return 0 if coming.exception() else coming.result()[2]


@dataclass(frozen=True)
class _Tile:
    """A tile with everything read that its pairs need."""

    task: MatchTask
    photos: list[FeatureUnion]
    encodings: list[Encoding | None]
    pairs: list[Pair]
    ready: Sequence[ReadyMethod]
    hopeless: list[tuple[str, ...]]
    config: PipelineConfig


_Found = dict[int, Finish | str]
"""By number of the method: what finishes its matches of a pair, or why it failed."""


def _by_pair(tile: _Tile, control: TaskControl) -> Iterator[tuple[int, _Found]]:
    """Yield each pair's place, as soon as the last matcher of tiles is through with it, and what each method found."""
    methods = range(len(tile.ready))
    tried = [[number for number in methods if not reasons[number]] for reasons in tile.hopeless]
    found: list[_Found] = [
        {n: _of_pair(tile, n, place) for n in numbers if not matches_tiles(tile.ready[n].matcher)}
        for place, numbers in enumerate(tried)
    ]
    for place, numbers in enumerate(tried):
        if len(found[place]) == len(numbers):
            control.check()
            yield place, found[place]
    for number in methods:
        if matches_tiles(tile.ready[number].matcher):
            for place, made in _of_tile(tile, number, [place for place, own in enumerate(tried) if number in own]):
                control.check()
                found[place][number] = made
                if len(found[place]) == len(tried[place]):
                    yield place, found[place]


def _of_pair(tile: _Tile, number: int, place: int) -> Finish:
    a, b = (tile.photos[index] for index in tile.pairs[place])
    return partial(pair_matches, tile.ready[number], a, b, config=tile.config.match)


def _of_tile(tile: _Tile, number: int, places: Sequence[int]) -> Iterator[tuple[int, Finish | str]]:
    """Match pairs together and, where that fails, those that are left one by one, so that each fails for itself."""
    left = dict.fromkeys(places)

    def made(some: Sequence[int]) -> Iterator[tuple[int, Finish]]:
        pairs = [tile.pairs[place] for place in some]
        together = tile_matches(tile.ready[number], tile.photos, tile.encodings, pairs, config=tile.config.match)
        yield from ((some[at], finish) for at, finish in together)

    together = made(places)
    while isinstance(step := attempted(lambda: next(together, None), f"matching of a tile of {len(places)}"), tuple):
        del left[step[0]]
        yield step
    for place in left:
        yield place, attempted(lambda place=place: dict(made([place]))[place], f"matching of {_names(tile, place)}")


def _finished(tile: _Tile, place: int, found: _Found) -> tuple[int, MatchedPair | None, str]:
    """Return a pair's place, what it came to, if anything, and why a method failed, if one did."""
    pair = tile.task.pairs[place]
    made: dict[int, Matches] = {}
    failed: dict[int, str] = {}
    for number, one in sorted(found.items()):
        matches = one if isinstance(one, str) else attempted(one, f"matching of {_names(tile, place)}")
        if isinstance(matches, str):
            failed[number] = matches
        else:
            made[number] = matches
    why = "; ".join(f"{tile.ready[number].method}: {reason}" for number, reason in failed.items())
    if failed and not made:
        return place, None, why
    cameras = tile.task.images[pair.first].camera, tile.task.images[pair.second].camera
    a, b = tile.photos[pair.first], tile.photos[pair.second]
    reasons = [failed.get(number, reason) for number, reason in enumerate(tile.hopeless[place])]
    verify = partial(
        match_pair, a, b, cameras=cameras, ready=tile.ready, hopeless=reasons, config=tile.config, made=made
    )
    result = attempted(verify, f"verification of {_names(tile, place)}")
    if isinstance(result, str):
        return place, None, result
    return place, MatchedPair(pair.key, *result, complete=not failed), why


def _names(tile: _Tile, place: int) -> str:
    return " and ".join(tile.task.images[index].name for index in tile.pairs[place])


@functools.cache
def photo_cache(megabytes: int) -> PhotoCache:
    """Return what this process has at hand of photos."""
    return PhotoCache(megabytes << 20)


@functools.cache
def ahead() -> Ahead:
    """Return what reads in this process what the next tile will need."""
    return Ahead()
