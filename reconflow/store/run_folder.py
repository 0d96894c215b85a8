"""The folder of a run: its outputs, its records, and one-line access to its features and matches."""

import fcntl
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import tomli_w

from reconflow.core.features import Features
from reconflow.core.images import ImageRecord
from reconflow.core.matches import Matches, TwoViewGeometry
from reconflow.core.union import unite
from reconflow.errors import InputError, OutputError, RunFolderBusyError, StoreError, is_disk_full
from reconflow.store.features import FeatureStore, read_features
from reconflow.store.geometries import GeometryStore, StoredPair, incomplete_key, pair_key, read_geometries
from reconflow.store.packs import ItemRef
from reconflow.store.publish import disk_full, publishing, sweep_partials
from reconflow.store.root import open_root

_MANIFEST = "work/run.toml"
"""Of the run that is or was at work last; ``run.toml`` beside the result is that of the run it came of."""
_RECORDS = "work/images.json"


class RunManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's features and pairs lie: what its ``run.toml`` says under ``[store]``."""

    url: str
    features: tuple[str, ...]
    """Namespace of each extractor's features, in the order in which their keypoints are united."""
    geometries: str


class RunFolder:
    """A folder one run writes to at a time.

    Raises
    ------
    OutputError
        If it cannot be written.
    RunFolderBusyError
        If another run is writing to it.
    DiskFullError
        If there is no room for it.

    """

    def __init__(self, path: Path):
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = (self.path / ".lock").open("ab")
            self._take()
        except OSError as error:
            if is_disk_full(error):
                raise disk_full(self.path) from error
            raise OutputError(f"cannot write to {self.path}: {error.strerror}") from error
        sweep_partials(self.path)

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            message = f"another run is writing to {self.path}; wait for it or choose another --out"
            raise RunFolderBusyError(message) from error
        except OSError:
            self._lock.close()
            raise

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    @property
    def default_store(self) -> Path:
        """Where features and pairs go unless a store is named."""
        return self.path / "store"

    @property
    def mappings(self) -> Path:
        """Where finished mappings are kept by content key."""
        return self.path / "work" / "mappings"

    @property
    def live(self) -> Path:
        """Where points of scenes are that are being mapped, as the web page draws them."""
        return self.path / "work" / "live"

    @property
    def photos(self) -> Path:
        """Where a ZIP is unpacked to."""
        return self.path / "work" / "photos"

    def write_records(self, records: Sequence[ImageRecord], keys: Sequence[str]) -> None:
        """Keep the image records, with their view keys, for notebooks and later commands."""
        content = [{"record": record, "view_key": key} for record, key in zip(records, keys, strict=True)]
        self.write_bytes(_RECORDS, msgspec.json.encode(content))

    def write_manifest(self, manifest: RunManifest, *, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep where things are stored, and the sections given, of the run that is at work."""
        tree = {"store": msgspec.to_builtins(manifest), **sections}
        self.write_bytes(_MANIFEST, tomli_w.dumps(tree).encode())

    def publish_manifest(self) -> None:
        """Publish what was kept as ``run.toml``, beside the result that came of it."""
        self.write_bytes("run.toml", (self.path / _MANIFEST).read_bytes())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Publish a file of the run."""
        with publishing(self.path / name) as partial:
            partial.write_bytes(content)


class RunFeatures(Mapping[str, Features]):
    """The features of a run's photos, by name, read as they are asked for."""

    def __init__(self, path: Path):
        manifest, self._records, _ = _open(path)
        self._root = open_root(manifest.url)
        self._refs = [FeatureStore(self._root, namespace).index() for namespace in manifest.features]

    def __getitem__(self, name: str) -> Features:
        refs = [index[self._records[name].content] for index in self._refs]
        stored = read_features(self._root, refs)
        return unite([stored[ref] for ref in refs]).features

    def __iter__(self) -> Iterator[str]:
        return (name for name, record in self._records.items() if all(record.content in index for index in self._refs))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class RunMatches(Mapping[tuple[str, str], tuple[Matches, TwoViewGeometry]]):
    """The putative matches and geometry of a run's verified pairs, by both names in order."""

    def __init__(self, path: Path):
        manifest, records, keys = _open(path)
        self._root = open_root(manifest.url)
        stored = GeometryStore(self._root, manifest.geometries).index()
        names = sorted(records)
        self._refs: dict[tuple[str, str], ItemRef] = {}
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                key = pair_key(keys[first], keys[second])
                pair: StoredPair | None = stored.get(key) or stored.get(incomplete_key(key))
                if pair is not None and pair.verified:
                    self._refs[first, second] = pair.ref

    def __getitem__(self, pair: tuple[str, str]) -> tuple[Matches, TwoViewGeometry]:
        ref = self._refs[pair]
        return read_geometries(self._root, [ref])[ref]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)


def open_features(folder: str | os.PathLike[str]) -> RunFeatures:
    """Open the features of a finished or half-finished run: ``open_features("out")["a.jpg"].keypoints``.

    Raises
    ------
    InputError
        If ``folder`` is not the folder of a run.
    StoreError
        If its store has another schema number.

    """
    return RunFeatures(Path(folder))


def open_matches(folder: str | os.PathLike[str]) -> RunMatches:
    """Open the verified pairs of a run: ``matches, geometry = open_matches("out")["a.jpg", "b.jpg"]``.

    Raises the errors of :func:`open_features`.
    """
    return RunMatches(Path(folder))


def read_records(folder: str | os.PathLike[str]) -> list[ImageRecord]:
    """Return the records of a run's readable photos, by name.

    Raises the errors of :func:`open_features`.
    """
    return [record for _, record in sorted(_open(Path(folder))[1].items())]


def _open(path: Path) -> tuple[RunManifest, dict[str, ImageRecord], dict[str, str]]:
    try:
        tree = tomllib.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        content = (path / _RECORDS).read_bytes()
    except FileNotFoundError as error:
        lacking = Path(str(error.filename)).relative_to(path)
        raise InputError(f"{path} is not the folder of a run: it has no {lacking}") from error
    try:
        manifest = msgspec.convert(tree["store"], RunManifest)
        entries = msgspec.json.decode(content, type=list[_Entry])
    except (KeyError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path} was written by another version of reconflow: {error}") from error
    records = {entry.record.name: entry.record for entry in entries}
    return manifest, records, {entry.record.name: entry.view_key for entry in entries}


class _Entry(msgspec.Struct):
    record: ImageRecord
    view_key: str
