"""The mapper's own process: ``python -m reconflow.pipeline.mapper job.json``.

It loads a scene from the store, maps it, and prints a JSON line per placed photo. It ends when its standard input
closes, so it never outlives the worker that started it.
"""

import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from reconflow.core.models import Model
from reconflow.core.union import unite
from reconflow.core.viewer_clouds import encode_viewer_cloud
from reconflow.errors import OutputError
from reconflow.pipeline.mapper_job import MapperJob, MapperLine, MapperSummary, write_summary
from reconflow.pipeline.work_items import MappingTask
from reconflow.stages.reconstruct import View, ViewPair, reconstruct
from reconflow.store.features import read_features
from reconflow.store.geometries import read_geometries
from reconflow.store.publish import publishing
from reconflow.store.root import Root, open_root


def main(arguments: Sequence[str]) -> int:
    """Map the scene of the job file into its folder."""
    path = Path(arguments[0])
    job = msgspec.json.decode(path.read_bytes(), type=MapperJob)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    root = open_root(job.store)
    found = reconstruct(
        _views(root, job.task),
        pairs=_pairs(root, job.task),
        config=job.task.config,
        threads=job.task.threads,
        out=path.parent,
        on_registered=_say,
        on_points=partial(_show, Path(job.task.live)) if job.task.live else None,
    )
    write_summary(path.parent, MapperSummary(tuple(folder.name for folder in found.models), found.unregistered))
    return 0


def _views(root: Root, task: MappingTask) -> list[View]:
    views: list[View] = []
    for image, camera_id in zip(task.images, task.camera_of, strict=True):
        stored = read_features(root, image.refs)
        features = unite([stored[ref] for ref in image.refs]).features
        views.append(View(image.name, camera_id, image.camera, features.keypoints, features.colors))
    return views


def _pairs(root: Root, task: MappingTask) -> list[ViewPair]:
    geometries = read_geometries(root, [pair.ref for pair in task.pairs])
    pairs: list[ViewPair] = []
    for pair in task.pairs:
        matches, geometry = geometries[pair.ref]
        pairs.append(ViewPair(pair.first, pair.second, geometry, matches.first, matches.second))
    return pairs


def _say(registered: int) -> None:
    sys.stdout.write(msgspec.json.encode(MapperLine(registered)).decode() + "\n")
    sys.stdout.flush()


def _show(path: Path, model: Model) -> None:
    try:
        with publishing(path) as unfinished:
            unfinished.write_bytes(encode_viewer_cloud(model))
    except (OSError, OutputError) as error:  # a full disk, say: mapping itself will tell
        sys.stderr.write(f"points could not be shown: {error}\n")


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not through sys.stdin: its lock, held here, would abort the interpreter at its end
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
