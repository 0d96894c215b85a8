"""The task that ranks all photos of a large set by appearance.

Local features vote through a vocabulary trained on the set itself, and every encoder that has seen the photos by its
pooled tokens. The set's own statistics are all that any of them needs.
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
from reconflow.pipeline.run_context import RunContext
from reconflow.pipeline.work_items import RetrieveTask
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
    rankings: list[list[list[int]]] = []
    if task.features:
        sample = _sample(_descriptors(root, _chosen(task.features, config)), photos=task.photos)
        vlad = Vlad.trained(sample, words=config.vlad_words, seed=config.seed)
        rankings.append(_ranked(vlad, _descriptors(root, task.features), control, count=count))
    for encodings in task.encodings:
        have = [place for place, ref in enumerate(encodings) if ref is not None]
        refs = [ref for ref in encodings if ref is not None]
        if refs:
            pool = WhitenedPool.trained(_sample(_tokens(root, _chosen(refs, config)), photos=len(refs)))
            found = _ranked(pool, _tokens(root, refs), control, count=count)
            rankings.append(_among_all(found, have, photos=task.photos))
    return [interleaved([ranking[photo] for ranking in rankings]) for photo in range(task.photos)]


def _among_all(found: Sequence[Sequence[int]], have: Sequence[int], *, photos: int) -> list[list[int]]:
    """Return the rankings of some photos as rankings of all; those that are not among them have and get no vote."""
    of_photo = {have[row]: [have[other] for other in ranked] for row, ranked in enumerate(found)}
    return [of_photo.get(photo, []) for photo in range(photos)]


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
