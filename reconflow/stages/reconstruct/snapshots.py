"""Points of a model while it is being mapped.

Ten times on its way COLMAP writes down what it has. Its points are taken up and painted in a thread of their own, and
the mapper goes on meanwhile.
"""

import queue
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pycolmap

from reconflow.core.arrays import Array
from reconflow.core.models import Model
from reconflow.stages.reconstruct.views import View

OnPoints = Callable[[Model], None]
"""Hears the points that there are by now, as a model without photos."""
_TIMES = 10
_FEWEST = 5
"""Photos between two snapshots at least: smaller scenes are done in a moment."""
_POINT_BYTES = 51
"""Id, place, colour, error and length of the track; 4 + 4 bytes for image and keypoint of each observation follow."""


class Snapshots:
    """Snapshots of one scene in ``folder``, an existing one. As a context it ends its thread."""

    def __init__(self, folder: Path, views: Sequence[View], on_points: OnPoints):
        self._folder = folder
        self._on_points = on_points
        self._every = max(_FEWEST, -(-len(views) // _TIMES))
        self._colors = np.concatenate([view.colors for view in views])
        counts = [0, *(len(view.colors) for view in views)]
        self._starts = np.cumsum(counts)[:-1]
        self._most = 0
        self._newest: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._paint_all, name="snapshots")

    def __enter__(self) -> "Snapshots":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._newest.put(None)
        self._thread.join()

    def ask(self, options: pycolmap.IncrementalPipelineOptions) -> None:
        """Have COLMAP write snapshots."""
        options.snapshot_path = str(self._folder)
        options.snapshot_frames_freq = self._every

    def look(self) -> None:
        """Take up what is new. For COLMAP's thread, between two photos: nothing is half written then."""
        written = sorted(self._folder.iterdir())
        if written:
            self._newest.put((written[-1] / "points3D.bin").read_bytes())
        for path in written:
            shutil.rmtree(path)

    def _paint_all(self) -> None:
        while (content := self._newest.get()) is not None:
            if not self._newest.empty():
                continue  # there is a newer one already
            model = self._painted(content)
            # Of a scene that falls into several models the next begins small: it takes over when it has grown.
            if len(model.points) > self._most / 2:
                self._most = max(self._most, len(model.points))
                self._on_points(model)

    def _painted(self, content: bytes) -> Model:
        points, tracks, lengths = read_points(content)
        seen_by, keypoint = tracks.T.astype(np.int64)
        colors = self._colors[self._starts[seen_by - 1] + keypoint].astype(np.float64)
        firsts = np.cumsum(lengths) - lengths
        return Model(
            name="cluster0_model0",
            images={},
            cameras={},
            points=points["xyz"].astype(np.float64),
            colors=np.rint(np.add.reduceat(colors, firsts) / lengths[:, None]).astype(np.uint8),
            errors_px=np.maximum(points["error"], 0).astype(np.float32),  # below 0 where it was not computed yet
            track_lengths=lengths.astype(np.int32),
        )


_POINT = np.dtype(
    [("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("length", "<u8")], align=False
)


def read_points(content: bytes) -> tuple[Array, Array, Array]:
    """Return the points of COLMAP's ``points3D.bin``: records, all observations in their order, and track lengths.

    An observation is the number of an image, from 1, and the row of a keypoint.
    """
    count = int.from_bytes(content[:8], "little")
    starts = np.empty(count, np.int64)
    at = 8
    for row in range(count):
        starts[row] = at
        at += _POINT_BYTES + 8 * int.from_bytes(content[at + 43 : at + 51], "little")
    raw = np.frombuffer(content, np.uint8)
    points = raw[starts[:, None] + np.arange(_POINT_BYTES)].reshape(-1).view(_POINT)
    lengths = points["length"].astype(np.int64)
    firsts = np.repeat(starts + _POINT_BYTES - 8 * (np.cumsum(lengths) - lengths), lengths)
    places = firsts + 8 * np.arange(lengths.sum())
    tracks = raw[places[:, None] + np.arange(8)].reshape(-1).view("<u4").reshape(-1, 2)
    return points, tracks, lengths
