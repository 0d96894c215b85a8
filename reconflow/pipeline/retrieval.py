"""The task that ranks all photos of a large set by appearance.

Local features always vote, through a vocabulary trained on the set itself; where an encoder has seen the photos, its
pooled tokens have the second vote. The set's own statistics are all that either needs.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from reconflow.config import ShortlistConfig
from reconflow.core.arrays import Array
from reconflow.nets.pooled import WhitenedPool, interleaved
from reconflow.nets.protocols import GlobalDescriptor
from reconflow.nets.vlad import Vlad, rank_neighbours
from reconflow.pipeline.control import TaskControl
from reconflow.pipeline.plan import RetrieveTask
from reconflow.pipeline.tasks import RunContext
from reconflow.store.encodings import read_encodings
from reconflow.store.features import read_features
from reconflow.store.packs import ItemRef
from reconflow.store.root import Root, open_root

_SAMPLE = 200_000
"""Descriptors, or tokens, that the set's statistics are taken from."""
_FEWEST_OF_A_PHOTO = 16


def retrieve(task: RetrieveTask, context: RunContext) -> list[list[int]]:
    """Rank for every photo the others by appearance."""
    config = context.config.shortlist
    root = open_root(context.store)
    control = TaskControl(context.line, stage="shortlist", task=task.key)
    count = max(config.retrieval_neighbours, config.partners_floor)
    sample = _sample(_descriptors(root, _chosen(task.refs, config)), photos=len(task.refs))
    vlad = Vlad.trained(sample, words=config.vlad_words, seed=config.seed)
    rankings = [_ranked(vlad, _descriptors(root, task.refs), control, count=count)]
    if task.encodings:
        pool = WhitenedPool.trained(_sample(_tokens(root, _chosen(task.encodings, config)), photos=len(task.refs)))
        rankings.append(_ranked(pool, _tokens(root, task.encodings), control, count=count))
    return [interleaved(of_photo) for of_photo in zip(*rankings, strict=True)]


def _chosen(refs: Sequence[ItemRef], config: ShortlistConfig) -> list[ItemRef]:
    order = np.random.default_rng(config.seed).permutation(len(refs))
    return [refs[place] for place in sorted(order[: _SAMPLE // _FEWEST_OF_A_PHOTO])]


def _sample(parts: Iterator[Array], *, photos: int) -> Array:
    share = max(_FEWEST_OF_A_PHOTO, _SAMPLE // photos)
    return np.concatenate([part[:share] for part in parts])


def _ranked(
    descriptor: GlobalDescriptor, parts: Iterator[Array], control: TaskControl, *, count: int
) -> list[list[int]]:
    vectors: list[Array] = []
    for part in parts:
        control.check()
        vectors.append(descriptor.describe(part).astype(np.float16))
        control.advance(len(vectors))
    return rank_neighbours(vectors, count=count)


def _descriptors(root: Root, refs: Sequence[ItemRef]) -> Iterator[Array]:
    for part in _by_pack(refs):
        stored = read_features(root, part)
        yield from (stored[ref].descriptors for ref in part)


def _tokens(root: Root, refs: Sequence[ItemRef]) -> Iterator[Array]:
    for part in _by_pack(refs):
        stored = read_encodings(root, part)
        yield from (stored[ref].tokens for ref in part)


def _by_pack(refs: Sequence[ItemRef]) -> Iterator[list[ItemRef]]:
    """Yield what stands together in a pack, to be read at once: a few photos, so that memory does not grow."""
    return (list(part) for _, part in groupby(refs, key=lambda ref: ref.pack))
