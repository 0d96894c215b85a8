"""The drift baseline as a file: made of photos of scenes, read at every upload."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reconflow.config import IngestConfig
from reconflow.core.drift import Baseline, SceneSummary
from reconflow.core.images import Unreadable
from reconflow.errors import InputError, StoreError
from reconflow.store.publish import publishing

_SCHEMA = 1


def read_baseline(path: Path) -> Baseline | None:
    """Return the baseline of a file; ``None`` where there is none.

    Raises
    ------
    StoreError
        If the file is damaged, or of another version.

    """
    try:
        baseline = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(
            f"the drift baseline cannot be read ({error}); build it with `reconflow drift baseline`"
        ) from error
    if baseline.schema != _SCHEMA:
        raise StoreError(f"the drift baseline has schema {baseline.schema}, not {_SCHEMA}: build it again")
    _check_complete(baseline)
    return baseline


def write_baseline(scenes: Mapping[str, SceneSummary], path: Path) -> Baseline:
    """Write the baseline of scenes by name, and return it.

    Raises
    ------
    InputError
        If a scene has no readable photo.

    """
    from reconflow.stages.drift import build_baseline

    for name, scene in scenes.items():
        if not scene.n:
            raise InputError(f"scene {name} has no readable photo: leave it out of the baseline")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    baseline = build_baseline(scenes, created_at=now, schema=_SCHEMA)
    with publishing(path) as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(baseline), indent=1))
    return baseline


def summarize(files: Sequence[tuple[str, Path]]) -> SceneSummary:
    """Return the appearance of photos given by name and path; unreadable ones are left out."""
    from reconflow.stages.drift import scene_summary
    from reconflow.stages.ingest import ingest_image

    records = [ingest_image(name, path, config=IngestConfig()) for name, path in files]
    readable = [record for record in records if not isinstance(record, Unreadable)]
    return scene_summary([(r.stats, r.width, r.height) for r in readable if r.stats is not None])


def summarize_photos(source: Path) -> SceneSummary:
    """Return the appearance of a folder's or ZIP's photos; a ZIP is unpacked to a place that is gone afterwards."""
    from reconflow.pipeline.photos import open_photos

    with tempfile.TemporaryDirectory(prefix="reconflow-drift-") as place:
        return summarize(open_photos(source, unpack_to=Path(place)))


def _check_complete(baseline: Baseline) -> None:
    from reconflow.stages.drift import FEATURES

    for name, scene in baseline.scenes.items():
        missing = [feature for feature in FEATURES if not scene.quantiles.get(feature)]
        if missing:
            raise StoreError(f"the drift baseline lacks {missing[0]} of scene {name}: build it again")
