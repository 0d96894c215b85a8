import multiprocessing
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconflow.errors import StoreError
from reconflow.store.packs import Item, ItemRef, Packs, read_attributes, read_items
from reconflow.store.root import LocalRoot, RemoteRoot, open_root


class RootContract:
    """What any place for a store must do; subclasses give the place."""

    @pytest.fixture
    def root(self, tmp_path):
        raise NotImplementedError

    def items(self, count, seed=0):
        rng = np.random.default_rng(seed)
        return [
            Item(
                f"{seed}-{i}",
                {"points": rng.random((i * 7, 2), np.float32), "codes": rng.integers(0, 255, (i, 128), np.uint8)},
                {"number": i},
            )
            for i in range(count)
        ]

    def test_what_is_written_is_read_back_exactly(self, root):
        items = self.items(5)
        refs = Packs(root, "features/a").write(items)
        found = read_items(root, refs, ("points", "codes"))
        for item, ref in zip(items, refs, strict=True):
            arrays, record = found[ref]
            for name, array in item.arrays.items():
                np.testing.assert_array_equal(arrays[name], array)
                assert arrays[name].dtype == array.dtype
            assert record == item.record

    def test_the_index_knows_every_item_of_every_pack(self, root):
        packs = Packs(root, "features/a")
        packs.write(self.items(3, seed=1))
        packs.write(self.items(2, seed=2))
        index = packs.index()
        assert sorted(index) == ["1-0", "1-1", "1-2", "2-0", "2-1"]
        assert index["2-1"][1] == {"number": 1}

    def test_namespaces_do_not_see_each_other(self, root):
        Packs(root, "features/a").write(self.items(2))
        assert Packs(root, "features/b").index() == {}

    def test_writing_the_same_items_again_makes_no_second_pack(self, root):
        packs = Packs(root, "features/a")
        first, second = packs.write(self.items(2)), packs.write(self.items(2))
        assert first == second
        assert len(root.names("features/a")) == 1

    def test_nothing_to_write_makes_no_pack(self, root):
        assert Packs(root, "features/a").write([]) == []
        assert root.names("features/a") == []

    def test_a_block_that_raises_publishes_nothing(self, root):
        with pytest.raises(RuntimeError), root.publishing("features/a/x.zarr.zip") as path:
            path.write_bytes(b"half")
            raise RuntimeError
        assert root.names("features/a") == []

    def test_opening_a_store_again_finds_its_schema(self, root):
        assert open_root(root.url).url == root.url

    def test_another_schema_number_is_refused_on_opening(self, root):
        with root.publishing("reconflow-store.json") as path:
            path.write_bytes(b'{"schema": 99}')
        with pytest.raises(StoreError, match="has schema 99"):
            open_root(root.url)


class TestLocalRoot(RootContract):
    @pytest.fixture
    def root(self, tmp_path):
        root = open_root(tmp_path / "store")
        assert isinstance(root, LocalRoot)
        return root


class TestRemoteRoot(RootContract):
    @pytest.fixture
    def root(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
        # An fsspec file system like any other, with no local path that the store could fall back on.
        root = open_root(f"local://{tmp_path}/bucket")
        assert isinstance(root, RemoteRoot)
        return root

    def test_what_was_read_lies_in_the_users_cache_apart_for_each_store(self, tmp_path, root):
        stores = [RemoteRoot(f"local://{tmp_path}/{folder}") for folder in ("b/a_c", "b_a/c")]
        for store in stores:
            with store.publishing("x") as path:
                path.write_text(store.url)
        assert [store.local("x").read_text() for store in stores] == [store.url for store in stores]
        assert all(store.local("x").is_relative_to(tmp_path / "cache") for store in stores)

    def test_a_store_made_anew_by_another_reconflow_is_refused(self, root, tmp_path):
        open_root(root.url)
        shutil.rmtree(tmp_path / "bucket")
        with root.publishing("reconflow-store.json") as path:
            path.write_bytes(b'{"schema": 99}')
        with pytest.raises(StoreError, match="has schema 99"):
            open_root(root.url)


def test_a_pack_that_is_cut_short_is_a_store_error_that_names_it(tmp_path):
    root = open_root(tmp_path)
    (ref,) = Packs(root, "f/a").write([Item("k", {"x": np.arange(9)}, {})])
    path = root.local(ref.pack)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match="missing or damaged"):
        read_attributes(root, ref.pack)


def test_a_pack_of_another_schema_is_refused(tmp_path, monkeypatch):
    root = open_root(tmp_path)
    monkeypatch.setattr("reconflow.store.packs.SCHEMA", 99)
    (ref,) = Packs(root, "f/a").write([Item("k", {"x": np.arange(9)}, {})])
    monkeypatch.undo()
    with pytest.raises(StoreError, match="has schema 99"):
        read_attributes(root, ref.pack)


def _write_many(folder, seed):
    packs = Packs(open_root(folder), "f/a")
    for i in range(5):
        packs.write([Item(f"{(seed + i) % 6}", {"x": np.full(1000, (seed + i) % 6)}, {})])


def test_many_writers_at_once_leave_every_item_whole(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path, seed)) for seed in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    root = open_root(tmp_path)
    index = Packs(root, "f/a").index()
    assert sorted(index) == [str(i) for i in range(6)]
    for key, (ref, _) in index.items():
        arrays, _ = read_items(root, [ref], ("x",))[ref]
        np.testing.assert_array_equal(arrays["x"], np.full(1000, int(key)))


@settings(max_examples=20)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=4))
def test_items_of_any_length_survive_across_chunk_borders(tmp_path_factory, lengths):
    root = open_root(tmp_path_factory.mktemp("store"))
    items = [Item(str(i), {"x": np.arange(n, dtype=np.int32) + i}, {}) for i, n in enumerate(lengths)]
    refs = Packs(root, "f/a").write(items)
    found = read_items(root, refs, ("x",))
    for item, ref in zip(items, refs, strict=True):
        np.testing.assert_array_equal(found[ref][0]["x"], item.arrays["x"])
    shutil.rmtree(root.local(""))


def photos(lengths):
    """Items like features of photos: a large field and two small ones."""
    rng = np.random.default_rng(0)
    widths = {"points": (5, np.float32), "codes": (128, np.uint8), "colors": (3, np.uint8)}
    return [
        Item(str(i), {name: rng.integers(1, 255, (n, w)).astype(kind) for name, (w, kind) in widths.items()}, {})
        for i, n in enumerate(lengths)
    ]


def payload(items):
    return sum(array.nbytes for item in items for array in item.arrays.values())


@pytest.mark.parametrize("lengths", [[3072] * 8, [2900, 2413, 3072, 2650, 2048, 3001, 2222, 2777]])
def test_whoever_wants_one_item_does_not_read_its_neighbours(tmp_path, bytes_read, lengths):
    root, items = open_root(tmp_path), photos(lengths)
    refs = Packs(root, "f/a").write(items)
    bytes_read()
    for item, ref in zip(items, refs, strict=True):
        arrays, _ = read_items(root, [ref], tuple(item.arrays))[ref]
        for name, array in item.arrays.items():
            np.testing.assert_array_equal(arrays[name], array)
    assert payload(items) <= bytes_read() <= 1.5 * payload(items)


@pytest.mark.parametrize("rows", [8192, 500, 3])
@pytest.mark.parametrize("chosen", [range(8), (0, 2, 3, 7), (5,)])
def test_packs_of_any_chunks_are_read_and_each_chunk_once(tmp_path, bytes_read, monkeypatch, rows, chosen):
    root, items = open_root(tmp_path), photos([700, 0, 123, 768, 1, 768, 0, 99])
    monkeypatch.setattr("reconflow.store.packs._chunk_rows", lambda *_: rows)  # 8192 is what packs had at first
    refs = Packs(root, "f/a").write(items)
    bytes_read()
    found = read_items(root, [refs[row] for row in chosen], ("points", "codes", "colors"))
    for row in chosen:
        for name, array in items[row].arrays.items():
            np.testing.assert_array_equal(found[refs[row]][0][name], array)
    assert bytes_read() <= payload(items) + 3 * 8192 * 5


def test_an_item_that_is_kept_keeps_no_other(tmp_path):
    root, items = open_root(tmp_path), photos([100] * 8)
    refs = Packs(root, "f/a").write(items)
    arrays, _ = read_items(root, refs, ("codes",))[refs[3]]
    assert arrays["codes"].base is None or arrays["codes"].base.nbytes == arrays["codes"].nbytes


def test_a_reference_is_a_small_hashable_value():
    assert len({ItemRef("a", 1), ItemRef("a", 1)}) == 1
