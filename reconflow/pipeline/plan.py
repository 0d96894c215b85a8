"""What is left to do: pure functions from records, settings and stored keys to tasks.

Nothing here touches a disk or a cluster. Resuming a run is planning it again with more keys stored.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

import msgspec

from reconflow.config import ReconstructConfig
from reconflow.core.images import ImageRecord
from reconflow.core.pairs import Pair, shares, tiles
from reconflow.core.scenes import Scene
from reconflow.nets.batches import in_batches
from reconflow.pipeline.work_items import (
    ExtractTask,
    IngestTask,
    MappingPair,
    MappingTask,
    MatchTask,
    ThumbnailTask,
    TileImage,
    TilePair,
    extract_task,
    ingest_task,
    match_task,
    thumbnail_task,
)
from reconflow.stages.cameras import CameraRig
from reconflow.store.geometries import StoredPair, pair_key, view_key
from reconflow.store.keys import fingerprint
from reconflow.store.packs import ItemRef
from reconflow.store.root import SCHEMA

_TASKS_PER_SLOT = 4
"""Enough tasks per worker thread that a slow one at the end does not leave the others idle for long."""
_TILES_PER_SLOT = 32
"""In large sets: of n tiles that lie in a square each photo is read once for about √n of them."""
_SMALL_TILE = 8
"""Photos on each side of the smallest tile that a large set is cut into."""


def plan_ingest(files: Sequence[tuple[str, PurePath]], *, slots: int) -> list[IngestTask]:
    """Return tasks that read all ``files``."""
    batch = _batch(len(files), slots, at_most=64)
    return [ingest_task(part) for part in in_batches([(name, str(path)) for name, path in files], batch)]


def plan_extract(
    records: Sequence[ImageRecord], *, extractor: str, stored: Mapping[str, ItemRef], at_most: int, slots: int
) -> list[ExtractTask]:
    """Return tasks for the photos whose features by ``extractor`` are not stored; equal photos are extracted once."""
    missing = {record.content: record for record in reversed(records) if record.content not in stored}
    todo = sorted(missing.values(), key=lambda record: record.name)
    return [extract_task(part, extractor) for part in in_batches(todo, _batch(len(todo), slots, at_most=at_most))]


def plan_matches(
    pairs: Iterable[Pair],
    *,
    images: Sequence[TileImage],
    keys: Sequence[str],
    stored: Mapping[str, StoredPair],
    images_per_side: int,
    slots: int,
) -> list[MatchTask]:
    """Return tiles of the pairs that are not stored, in the order of a walk through the pair matrix.

    Each slot has a stretch of the walk as its share, so that it finds most photos at hand.

    Parameters
    ----------
    pairs : iterable of (int, int)
        What to match, as indices into ``images``.
    images : sequence of TileImage
        All photos with features, sorted by name.
    keys : sequence of str
        The view key of each of them.
    stored : mapping
        Pair key → stored pair, in the namespace of the run's settings.
    images_per_side : int
        Largest tile; small sets are cut smaller, so that every slot has work.
    slots : int
        Worker threads.

    """
    todo = {pair: key for pair in pairs if (key := pair_key(keys[pair[0]], keys[pair[1]])) not in stored}
    walk = tiles(todo, _side(len(todo), at_most=images_per_side, slots=slots))
    homes = shares([len(tile) for tile in walk], max(1, slots))
    members = [sorted({index for pair in tile for index in pair}) for tile in walk]
    tasks: list[MatchTask] = []
    for number, (tile, own, home) in enumerate(zip(walk, members, homes, strict=True)):
        place = {index: position for position, index in enumerate(own)}
        tile_pairs = [TilePair(todo[i, j], place[i], place[j]) for i, j in tile]
        ahead = members[number + 1] if homes[number + 1 : number + 2] == [home] else []
        then = tuple(images[index] for index in ahead if index not in place)
        task = match_task([images[index] for index in own], tile_pairs)
        tasks.append(msgspec.structs.replace(task, home=home, then=then))
    return tasks


def _side(pairs: int, *, at_most: int, slots: int) -> int:
    """Return how many photos a tile has on each side.

    Small sets are cut so that every slot has work. In large ones a slot should have enough tiles that the photos it
    reads serve several of them, as long as a tile does not become so small that it hardly pays.
    """
    side = max(2, round(math.sqrt(max(1, math.ceil(pairs / (_TASKS_PER_SLOT * max(1, slots)))))))
    if side <= at_most:
        return side
    return min(at_most, max(_SMALL_TILE, round(math.sqrt(pairs / (_TILES_PER_SLOT * max(1, slots))))))


def view_keys(records: Sequence[ImageRecord], rig: CameraRig) -> list[str]:
    """Return the view key of each photo: its content and its camera."""
    return [view_key(record, rig.camera(record.name)) for record in records]


def plan_mapping(
    scenes: Sequence[Scene],
    *,
    images: Mapping[str, TileImage],
    camera_of: Mapping[str, int],
    pairs: Iterable[tuple[str, str, ItemRef, str]],
    namespace: str,
    made_with: str,
    config: ReconstructConfig,
    threads: int,
    folder: PurePath,
) -> list[MappingTask]:
    """Return one task per scene.

    ``namespace`` is that of the pairs: with the pair keys it stands for every setting before mapping. ``made_with``
    says which mapping code and COLMAP will do it.

    ``pairs`` gives both names, the place in the store and the pair key of every verified pair; those that join two
    scenes are left out.
    """
    scene_of = {name: scene.id for scene in scenes for name in scene.images}
    inside: dict[int, list[tuple[str, str, ItemRef, str]]] = {scene.id: [] for scene in scenes}
    for pair in sorted(pairs):
        number = scene_of.get(pair[0])
        if number is not None and number == scene_of.get(pair[1]):
            inside[number].append(pair)
    return [
        _mapping_task(
            scene,
            images,
            camera_of,
            inside[scene.id],
            namespace=namespace,
            made_with=made_with,
            config=config,
            threads=threads,
            folder=folder,
        )
        for scene in scenes
    ]


def mapper_share(offered: float, scenes: int) -> int:
    """Return how much of a worker's MAPPER resource one scene takes: all of it for one scene, less for several.

    >>> mapper_share(8, 1), mapper_share(8, 3), mapper_share(2, 40), mapper_share(1, 1)
    (8, 2, 1, 1)
    """
    return max(1, int(offered) // max(1, scenes))


def plan_thumbnails(records: Sequence[ImageRecord], *, at_most: int, slots: int) -> list[ThumbnailTask]:
    """Return tasks for the first ``at_most`` photos."""
    chosen = records[:at_most]
    return [thumbnail_task(part) for part in in_batches(chosen, _batch(len(chosen), slots, at_most=32))]


def _mapping_task(
    scene: Scene,
    images: Mapping[str, TileImage],
    camera_of: Mapping[str, int],
    pairs: Sequence[tuple[str, str, ItemRef, str]],
    *,
    namespace: str,
    made_with: str,
    config: ReconstructConfig,
    threads: int,
    folder: PurePath,
) -> MappingTask:
    members = tuple(images[name] for name in scene.images)
    place = {name: position for position, name in enumerate(scene.images)}
    cameras = tuple(camera_of[name] for name in scene.images)
    first_use: dict[int, int] = {}
    sharing = [first_use.setdefault(camera, len(first_use)) for camera in cameras]
    pair_keys = [pair[3] for pair in pairs]
    key = fingerprint("models", SCHEMA, made_with, namespace, config, threads, list(scene.images), sharing, pair_keys)[
        :32
    ]
    return MappingTask(
        key=key,
        scene=scene.id,
        images=members,
        camera_of=cameras,
        pairs=tuple(MappingPair(place[a], place[b], ref) for a, b, ref, _ in pairs),
        config=config,
        threads=threads,
        folder=str(folder / key),
    )


def _batch(count: int, slots: int, *, at_most: int) -> int:
    return max(1, min(at_most, math.ceil(count / (_TASKS_PER_SLOT * max(1, slots)))))
