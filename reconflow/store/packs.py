"""Packs: immutable groups of ragged arrays, many items to one file.

A pack is a Zarr v3 group in an uncompressed ZIP: one file for, say, the features of eight photos or the geometries
of a tile of pairs, instead of several files for each. The group's attributes hold the item keys, where each item's
rows begin, and a small record per item, so an index is read without touching an array. A task writes the packs it
makes and nobody ever writes to them again, which makes them safe under any number of writers. The name is made of the
item keys, so two writers of the same items publish the same name and, as a key holds everything that made a value, the
same content; of pairs that are incomplete, which no later run builds on, the last one stays.
"""

import math
import zipfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import zarr
from zarr.storage import ZipStore

from reconflow.core.arrays import Array
from reconflow.errors import StoreError
from reconflow.store.keys import fingerprint
from reconflow.store.root import SCHEMA, Root

_SUFFIX = ".zarr.zip"
_LEAST_CHUNK_BYTES = 32 * 1024


class ItemRef(msgspec.Struct, frozen=True):
    """Where an item lies: the name of its pack below the root, and its row in there."""

    pack: str
    row: int


@dataclass(frozen=True)
class Item:
    """One item to store: its content key, its arrays (ragged along the first axis) and a small plain record."""

    key: str
    arrays: Mapping[str, Array]
    record: Mapping[str, Any]


class Packs:
    """All packs of one kind and namespace below a root.

    Parameters
    ----------
    root : Root
        The place.
    folder : str
        ``<kind>/<namespace>``; a namespace is the fingerprint of the settings that made the items.

    """

    def __init__(self, root: Root, folder: str):
        self.root = root
        self.folder = folder

    def write(self, items: Sequence[Item]) -> list[ItemRef]:
        """Publish ``items`` as one pack and return where each of them lies."""
        if not items:
            return []
        name = f"{self.folder}/{fingerprint([item.key for item in items])[:32]}{_SUFFIX}"
        with self.root.publishing(name) as path:
            _write_group(path, items)
        return [ItemRef(name, row) for row in range(len(items))]

    def index(self) -> dict[str, tuple[ItemRef, dict[str, Any]]]:
        """Return every stored item's place and record, by key.

        An item that stands in two packs is taken from the first by name: what is complete is the same in both.
        """
        found: dict[str, tuple[ItemRef, dict[str, Any]]] = {}
        for pack in self.root.names(self.folder):
            if pack.endswith(_SUFFIX):
                name = f"{self.folder}/{pack}"
                attributes = read_attributes(self.root, name)
                for row, (key, record) in enumerate(zip(attributes["keys"], attributes["records"], strict=True)):
                    found.setdefault(key, (ItemRef(name, row), record))
        return found


def read_items(
    root: Root, refs: Iterable[ItemRef], fields: Sequence[str]
) -> dict[ItemRef, tuple[dict[str, Array], dict[str, Any]]]:
    """Return the named arrays and the record of each item, opening every pack and reading every chunk once."""
    wanted: dict[str, list[int]] = {}
    for ref in refs:
        wanted.setdefault(ref.pack, []).append(ref.row)
    found: dict[ItemRef, tuple[dict[str, Array], dict[str, Any]]] = {}
    for pack, rows in sorted(wanted.items()):
        with _opened(root, pack) as group:
            attributes: dict[str, Any] = dict(group.attrs)
            items: dict[int, dict[str, Array]] = {row: {} for row in sorted(set(rows))}
            for field in fields:
                array = cast(zarr.Array, group[field])
                for row, own in _items_of(array, attributes["offsets"][field], list(items)):
                    items[row][field] = own
            found |= {ItemRef(pack, row): (item, attributes["records"][row]) for row, item in items.items()}
    return found


def read_attributes(root: Root, pack: str) -> dict[str, Any]:
    """Return a pack's attributes: ``schema``, ``keys``, ``offsets`` by field, and ``records``."""
    with _opened(root, pack) as group:
        return dict(group.attrs)


def _write_group(path: Path, items: Sequence[Item]) -> None:
    fields = sorted(items[0].arrays)
    offsets = {
        field: [0, *np.cumsum([len(item.arrays[field]) for item in items], dtype=int).tolist()] for field in fields
    }
    attributes = {
        "schema": SCHEMA,
        "keys": [item.key for item in items],
        "offsets": offsets,
        "records": [dict(item.record) for item in items],
    }
    with ZipStore(path, mode="w", compression=zipfile.ZIP_STORED) as store:
        group = zarr.create_group(store, attributes=attributes)
        for field in fields:
            data = np.concatenate([item.arrays[field] for item in items])
            rows = _chunk_rows([len(item.arrays[field]) for item in items], data[:1].nbytes)
            chunks = (min(rows, max(1, len(data))), *data.shape[1:])
            # Descriptors hardly compress and reading them is the hot path, so nothing is compressed.
            group.create_array(field, data=data, chunks=chunks, compressors=None)


def _chunk_rows(lengths: Sequence[int], row_bytes: int) -> int:
    """Return how many rows of a field make a chunk, which is what is read at a time.

    Whole items where all are as long, and else a quarter of the longest: whoever wants one item should not read its
    neighbours. Small items share a chunk.
    """
    longest = max([1, *lengths])
    rows = longest if len(set(lengths)) == 1 else math.ceil(longest / 4)
    return rows * math.ceil(_LEAST_CHUNK_BYTES / (rows * max(1, row_bytes)))


def _items_of(array: zarr.Array, offsets: Sequence[int], rows: Sequence[int]) -> Iterator[tuple[int, Array]]:
    """Yield the items at sorted rows of a field; those that share a chunk are read together."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and offsets[row] // array.chunks[0] <= (offsets[runs[-1][-1] + 1] - 1) // array.chunks[0]:
            runs[-1].append(row)
        else:
            runs.append([row])
    for run in runs:
        start = offsets[run[0]]
        block = np.asarray(array[start : offsets[run[-1] + 1]])
        for row in run:
            own = block[offsets[row] - start : offsets[row + 1] - start]
            yield row, own if len(run) == 1 else own.copy()  # what one item is kept for must not keep the others


@contextmanager
def _opened(root: Root, pack: str) -> Generator[zarr.Group]:
    path = root.local(pack)
    if not zipfile.is_zipfile(path):
        raise StoreError(f"the pack {path} is missing or damaged; delete it, and what it held is made anew")
    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r")
        schema = group.attrs.get("schema")
        if schema != SCHEMA:
            raise StoreError(f"the pack {path} has schema {schema!r} and this reconflow reads {SCHEMA}")
        yield group
