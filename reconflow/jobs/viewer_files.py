"""What the web page draws: points for the 3D view, the view graph, and pictures of the photos."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from reconflow.core.images import ImageRecord
from reconflow.core.matches import PairSummary
from reconflow.core.pair_list import read_pairs
from reconflow.core.viewer_clouds import encode_viewer_cloud
from reconflow.jobs.results import ViewGraph
from reconflow.pipeline.result import RunResult
from reconflow.report.thumbnails import shrunk, thumbnail

_MOST_PICTURES = 2000
_THUMBNAIL_PX, _PREVIEW_PX = 160, 640


def write_viewer_files(
    run: RunResult, records: Sequence[ImageRecord], folder: Path, *, check: Callable[[], None]
) -> None:
    """Write into ``folder`` what the page asks for beside the downloads; ``check`` may raise before each file."""
    (folder / "clouds").mkdir()
    for model in run.clusters:
        check()
        (folder / "clouds" / f"{model.name}.bin").write_bytes(encode_viewer_cloud(model))
    model_of = {fate.name: fate.model for fate in run.insights.images if fate.status != "unreadable"}
    order = [name for model in run.clusters for name in sorted(model.images)]
    graph = view_graph_of(model_of, read_pairs(run.folder / "pairs.csv"), order=order)
    (folder / "view-graph.json").write_bytes(msgspec.json.encode(graph))
    _write_pictures(records, folder, check)


def view_graph_of(
    model_of: dict[str, str | None], pairs: Sequence[PairSummary], *, order: Sequence[str] = ()
) -> ViewGraph:
    """Return the graph of verified pairs: photos in ``order``, then those it does not name."""
    named = dict.fromkeys(name for name in order if name in model_of)
    photos = [*named, *sorted(model_of.keys() - named.keys())]
    place = {name: number for number, name in enumerate(photos)}
    found = [
        (*sorted((place[pair.first], place[pair.second])), pair.inliers)
        for pair in pairs
        if pair.verified and pair.first in place and pair.second in place
    ]
    triples = sorted((first, second, inliers) for first, second, inliers in found)
    return ViewGraph(photos=photos, clusters=[model_of[name] for name in photos], pairs=triples)


def _write_pictures(records: Sequence[ImageRecord], folder: Path, check: Callable[[], None]) -> None:
    places: dict[str, str] = {}
    for name in ("thumbnails", "previews"):
        (folder / name).mkdir()
    for number, record in enumerate(records[:_MOST_PICTURES]):
        check()
        places[record.name] = f"{number:06d}.jpg"
        preview = thumbnail(record.path, orientation=record.orientation, long_edge_px=_PREVIEW_PX)
        (folder / "previews" / places[record.name]).write_bytes(preview)
        (folder / "thumbnails" / places[record.name]).write_bytes(shrunk(preview, _THUMBNAIL_PX))
    (folder / "thumbnails.json").write_bytes(msgspec.json.encode(places))
