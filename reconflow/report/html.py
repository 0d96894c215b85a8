"""A finished run as one HTML file that needs nothing else: no network, no library, no neighbouring files."""

import json
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from reconflow.core.clouds import PointCloud
from reconflow.core.matches import PairSummary
from reconflow.core.models import Model
from reconflow.report import sections
from reconflow.report.scenes import viewer_scenes
from reconflow.report.thumbnails import within_budget
from reconflow.stages.insights import ImageFate, Insights
from reconflow.store.publish import publishing

MAX_POINTS = 150_000
MAX_THUMBNAIL_BYTES = 2_400_000
MAX_PAIRS = 25_000

_SCRIPTS = ("orbit.js", "painter.js", "viewer.js", "matrix.js", "photos.js", "page.js")


def write_report(
    path: str | os.PathLike[str],
    *,
    insights: Insights,
    models: Sequence[Model],
    clouds: Mapping[str, PointCloud] | None = None,
    thumbnails: Mapping[str, bytes] | None = None,
    pairs: Sequence[PairSummary] = (),
    title: str,
) -> None:
    """Write the report page.

    Points, thumbnails and pairs are thinned so that the file stays below about 8 MB however large the run.

    Parameters
    ----------
    path : path
        Where the file goes; it appears only when it is complete.
    insights : Insights
        The run in numbers and words.
    models : sequence of Model
        Everything the 3D view shows.
    clouds : mapping of str to PointCloud, optional
        Points to show in place of a model's own, by model name: the cleaned ones.
    thumbnails : mapping of str to bytes, optional
        Photo → upright JPEG; photos without one get a neutral picture.
    pairs : sequence of PairSummary
        The view graph.
    title : str
        What the page is called: the data set.

    Raises
    ------
    OutputError
        If the file cannot be written.

    """
    page = report_html(
        insights, models=models, clouds=clouds or {}, thumbnails=thumbnails or {}, pairs=pairs, title=title
    )
    with publishing(path) as partial:
        partial.write_bytes(page.encode())


def report_html(
    insights: Insights,
    *,
    models: Sequence[Model],
    clouds: Mapping[str, PointCloud],
    thumbnails: Mapping[str, bytes],
    pairs: Sequence[PairSummary],
    title: str,
) -> str:
    """Return the page as text; see :func:`write_report`."""
    numbers = {fate.name: number for number, fate in enumerate(insights.images)}
    scenes = viewer_scenes(
        models,
        clouds=clouds,
        photo_numbers=numbers,
        orientations={fate.name: fate.orientation for fate in insights.images},
        max_points=MAX_POINTS,
    )
    blobs = "\n".join(
        f'<script type="text/plain" id="cloud-{number}">{scene.pop("points")}</script>'
        for number, scene in enumerate(scenes)
    )
    small = within_budget(
        {name: content for name, content in thumbnails.items() if name in numbers}, budget_bytes=MAX_THUMBNAIL_BYTES
    )
    labels = sections.model_labels([scene["name"] for scene in scenes])
    data = {
        "photos": [_photo(fate) for fate in insights.images],
        "thumbs": [b64encode(small.get(fate.name, b"")).decode("ascii") for fate in insights.images],
        "scenes": [scene | {"label": labels[scene["name"]]} for scene in scenes],
        "order": _matrix_order(insights),
        **_pair_data(pairs, numbers),
    }
    return _page_template().substitute(
        title=escape(title),
        style=_asset("report.css"),
        script="\n".join(_asset(name) for name in _SCRIPTS),
        nav=sections.navigation(insights),
        verdict=sections.verdict(insights),
        tiles=sections.tiles(insights),
        scene=sections.scene(insights),
        findings=sections.findings(insights),
        filters=sections.filters(insights),
        heads=sections.table_heads(),
        rows=sections.table_rows(insights),
        connections=sections.connections(insights),
        costs=sections.costs(insights),
        data=_embedded_json(data),
        clouds=blobs,
    )


def _embedded_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in, whatever the names in it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _photo(fate: ImageFate) -> dict[str, Any]:
    error = fate.mean_reprojection_error_px
    return {
        "name": fate.name,
        "status": fate.status,
        "cluster": fate.cluster,
        "model": fate.model,
        "observations": fate.observations,
        "error": None if error is None else round(error, 3),
        "neighbours": fate.verified_neighbours,
        "width": fate.width,
        "height": fate.height,
        "reason": fate.reason,
    }


def _matrix_order(insights: Insights) -> list[int]:
    """Return the numbers of readable photos, cluster by cluster, those of no cluster last."""

    def place(number: int) -> tuple[bool, int, str, str]:
        fate = insights.images[number]
        return fate.cluster is None, fate.cluster or 0, fate.model or "~", fate.name

    return sorted((n for n, fate in enumerate(insights.images) if fate.status != "unreadable"), key=place)


def _pair_data(pairs: Sequence[PairSummary], numbers: Mapping[str, int]) -> dict[str, Any]:
    """Return the pairs as rows of five numbers (first, second, inliers, putative, reason), in one flat list.

    Where there are too many, the verified ones come first, the strongest of them foremost.
    """
    known = [pair for pair in pairs if pair.first in numbers and pair.second in numbers]
    known.sort(key=lambda pair: (not pair.verified, -pair.inliers, pair.first, pair.second))
    reasons: dict[str, int] = {"": 0}
    flat: list[int] = []
    for pair in known[:MAX_PAIRS]:
        reason = "" if pair.verified else pair.reason or "not verified"
        number = reasons.setdefault(reason, len(reasons))
        flat += [numbers[pair.first], numbers[pair.second], pair.inliers, pair.putative, number]
    return {"pairs": flat, "reasons": list(reasons), "omitted": max(0, len(known) - MAX_PAIRS)}


def _page_template() -> Template:
    return Template(_asset("report.html"))


def _asset(name: str) -> str:
    return (files("reconflow.report") / "assets" / name).read_text(encoding="utf-8")
