import itertools
import random
import time
import tracemalloc
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.config import IngestConfig, ReconstructConfig
from reconflow.core.images import Exif, ImageRecord
from reconflow.core.pairs import all_pairs, tiles
from reconflow.core.scenes import Scene
from reconflow.pipeline.plan import mapper_share, plan_extract, plan_ingest, plan_mapping, plan_matches, view_keys
from reconflow.pipeline.work_items import TileImage
from reconflow.stages.cameras import assign_cameras
from reconflow.store.geometries import StoredPair, pair_key
from reconflow.store.packs import ItemRef


def photos(count):
    exif = Exif(make="M", model="X", focal_mm=20.0)
    return [
        ImageRecord(name=f"{i:05d}.jpg", path="", sha256=f"{i:064x}", width=640, height=480, exif=exif)
        for i in range(count)
    ]


def tile_images(records):
    rig = assign_cameras(records, config=IngestConfig())
    images = [TileImage(r.name, (ItemRef("pack", i),), rig.camera(r.name)) for i, r in enumerate(records)]
    return images, view_keys(records, rig), rig


@given(st.integers(0, 60), st.sets(st.integers(0, 59)), st.integers(1, 16), st.integers(1, 8))
def test_extraction_covers_exactly_what_is_not_stored(count, stored, at_most, slots):
    records = photos(count)
    have = {records[i].sha256: ItemRef("pack", i) for i in stored if i < count}
    tasks = plan_extract(records, extractor="sift", stored=have, at_most=at_most, slots=slots)
    planned = [image.sha256 for task in tasks for image in task.images]
    assert sorted(planned) == sorted(r.sha256 for r in records if r.sha256 not in have)
    assert all(len(task) <= at_most for task in tasks)


def test_photos_of_equal_content_are_extracted_once():
    twins = [ImageRecord(name=n, path=n, sha256="same", width=9, height=9) for n in ("a", "b")]
    (task,) = plan_extract(twins, extractor="sift", stored={}, at_most=8, slots=1)
    assert [image.name for image in task.images] == ["a"]


def test_a_second_plan_with_everything_stored_is_empty():
    records = photos(12)
    images, keys, _ = tile_images(records)
    pairs = all_pairs(12)
    stored = {pair_key(keys[i], keys[j]): StoredPair(ItemRef("p", 0), 9, 9, "CALIBRATED", True, "") for i, j in pairs}
    assert plan_matches(pairs, images=images, keys=keys, stored=stored, images_per_side=8, slots=2) == []


@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 8))
def test_tiles_cover_every_pair_once_and_name_the_right_photos(count, side, slots):
    records = photos(count)
    images, keys, _ = tile_images(records)
    pairs = all_pairs(count)
    tasks = plan_matches(pairs, images=images, keys=keys, stored={}, images_per_side=side, slots=slots)
    planned = {}
    for task in tasks:
        for pair in task.pairs:
            planned[task.images[pair.first].name, task.images[pair.second].name] = pair.key
    assert planned == {(records[i].name, records[j].name): pair_key(keys[i], keys[j]) for i, j in pairs}
    assert sum(len(task) for task in tasks) == len(pairs)


@given(st.integers(2, 30), st.integers(1, 10))
def test_a_tile_touches_at_most_two_blocks_of_photos(count, side):
    for tile in tiles(all_pairs(count), side):
        assert len({index for pair in tile for index in pair}) <= 2 * side


def tile_tasks(count, pairs, slots):
    images, keys, _ = tile_images(photos(count))
    return plan_matches(pairs, images=images, keys=keys, stored={}, images_per_side=12, slots=slots)


def share_at_hand(tasks, *, room):
    """What share of the photos that tiles ask for their worker still has, if it keeps those it used last."""
    kept, asked, read = {}, 0, 0
    for task in tasks:
        own = kept.setdefault(task.home, {})
        names = [image.name for image in task.images]
        asked, read = asked + len(names), read + sum(name not in own for name in names)
        for name in names:
            own[name] = own.pop(name, None)
        while len(own) > room:
            del own[next(iter(own))]
    return 1 - read / asked


@pytest.mark.parametrize("slots", range(1, 9))
@pytest.mark.parametrize("count", [200, 233, 300])
def test_four_of_five_photos_of_a_tile_are_at_hand(count, slots):
    """With room for 150 photos: 256 MB of encodings, and less than of features."""
    assert share_at_hand(tile_tasks(count, all_pairs(count), slots), room=150) >= 0.8


@pytest.mark.parametrize("slots", [1, 4, 8])
@pytest.mark.parametrize("near", [True, False], ids=["neighbours", "anywhere"])
def test_shortlisted_pairs_find_photos_at_hand_too(slots, near):
    rng = random.Random(0)
    pairs = set()
    for i in range(500):
        others = (i + round(rng.gauss(0, 20)) for _ in range(40)) if near else rng.sample(range(500), 25)
        pairs |= {(min(i, j), max(i, j)) for j in others if 0 <= j < 500 and j != i}
    assert share_at_hand(tile_tasks(500, pairs, slots), room=150) >= 0.8


@given(st.integers(2, 60), st.integers(1, 8))
def test_every_slot_has_a_stretch_of_about_equal_work(count, slots):
    tasks = tile_tasks(count, all_pairs(count), slots)
    homes = [task.home for task in tasks]
    assert homes == sorted(homes)
    assert set(homes) <= set(range(slots))
    largest = max(len(task) for task in tasks)
    work = [sum(len(task) for task in tasks if task.home == home) for home in range(slots)]
    assert max(work) <= sum(work) / slots + largest


def test_a_tile_knows_what_the_next_one_of_its_worker_needs():
    tasks = tile_tasks(60, all_pairs(60), 2)
    for task, following in itertools.pairwise(tasks):
        fresh = {image.name for image in following.images} - {image.name for image in task.images}
        assert {image.name for image in task.then} == (fresh if task.home == following.home else set())


@given(st.integers(1, 100), st.integers(1, 8))
def test_halving_a_task_keeps_every_item(count, slots):
    for task in plan_ingest([(str(i), PurePath(str(i))) for i in range(count)], slots=slots):
        halves = task.halves()
        assert len(task) == 1 or [f for half in halves for f in half.files] == list(task.files)
        assert len(task) > 1 or halves == ()


def mapping(records, scenes, **options):
    images, keys, rig = tile_images(records)
    pairs = [
        (records[i].name, records[j].name, ItemRef("p", i), pair_key(keys[i], keys[j]))
        for i, j in all_pairs(len(records))
    ]
    arguments = {
        "namespace": "n",
        "made_with": "m",
        "config": ReconstructConfig(),
        "threads": 2,
        "folder": PurePath("x"),
    } | options
    return plan_mapping(scenes, images={i.name: i for i in images}, camera_of=rig.camera_of, pairs=pairs, **arguments)


def test_a_scene_is_mapped_with_its_own_pairs_only():
    records = photos(6)
    scenes = [
        Scene(id=0, images=tuple(r.name for r in records[:3])),
        Scene(id=1, images=tuple(r.name for r in records[3:])),
    ]
    first, second = mapping(records, scenes)
    assert len(first.pairs) == len(second.pairs) == 3
    assert {(p.first, p.second) for p in second.pairs} == {(0, 1), (0, 2), (1, 2)}


@pytest.mark.parametrize(
    "change",
    [{"namespace": "m"}, {"made_with": "n"}, {"threads": 1}, {"config": ReconstructConfig(seed=1)}],
    ids=lambda c: next(iter(c)),
)
def test_whatever_decides_a_model_is_part_of_its_key(change):
    records = photos(3)
    scenes = [Scene(id=0, images=tuple(r.name for r in records))]
    assert mapping(records, scenes)[0].key != mapping(records, scenes, **change)[0].key


@given(st.floats(1, 64), st.integers(1, 100))
def test_scenes_together_never_ask_for_more_than_one_worker_can_give_each(offered, scenes):
    assert 1 <= mapper_share(offered, scenes) <= max(1, int(offered))


def test_ten_thousand_photos_are_planned_in_seconds_and_little_memory():
    records = photos(10_000)
    pairs = sorted({(i, j) for i in range(10_000) for j in range(i + 1, min(i + 41, 10_000))})
    tracemalloc.start()
    started = time.process_time()
    images, keys, _ = tile_images(records)
    extract = plan_extract(records, extractor="sift", stored={}, at_most=8, slots=16)
    match = plan_matches(pairs, images=images, keys=keys, stored={}, images_per_side=12, slots=16)
    seconds = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(extract) == 1250
    assert sum(len(task) for task in match) == len(pairs)
    # Tracing slows Python down about fourfold; benchmarks/speed/planning.py measures without it.
    assert seconds < 60
    assert peak < 300e6
