"""Models as an interactive figure for notebooks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.models import Model
from reconflow.report.frusta import centers_in_world, frustum, frustum_size, kept_counts, thinned

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_POINTS = 60_000
COLORS = ("#3b7cf0", "#ee7b1a", "#17a673", "#c64fa4", "#8c6cf0", "#c99a06", "#16a3c0", "#e2504c")
"""Clusters take turns with these, as on the report page."""

# Centre and corners 0 … 4 of a frustum, drawn in one go; NaN lifts the pen between photos.
_STROKE = (0, 1, 2, 0, 3, 4, 0, 1, 4, 3, 2)


def plot_models(models: Sequence[Model], *, max_points: int = MAX_POINTS) -> "go.Figure":
    """Return the points and cameras of models as a plotly figure.

    Each model is two traces of one legend group, points in their own colours and frusta in that of the cluster; a
    frustum tells its photo's name and numbers. Models of different scenes share no frame, so only the largest is
    shown at first and the legend turns on the others.

    Parameters
    ----------
    models : sequence of Model
        What to show; none gives an empty figure that says so.
    max_points : int
        Points drawn in all; more are thinned, the same way each time.

    """
    import plotly.graph_objects as go

    ordered = sorted(models, key=lambda model: (-len(model.images), model.name))
    kept = kept_counts([len(model.points) for model in ordered], at_most=max_points)
    figure = go.Figure()
    for number, (model, most) in enumerate(zip(ordered, kept, strict=True)):
        shown = True if number == 0 else "legendonly"
        figure.add_trace(go.Scatter3d(**_points(model, most), legendgroup=model.name, visible=shown, showlegend=False))
        figure.add_trace(go.Scatter3d(**_cameras(model), legendgroup=model.name, visible=shown))
    hidden = {"visible": False}
    figure.update_layout(
        scene={"aspectmode": "data", "xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "camera": _home(ordered)},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=560,
        # Transparent, so that the figure sits well in a light and in a dark notebook.
        paper_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 0, "font": {"color": "#7d8797"}},
        uirevision="models",
    )
    if not ordered:
        figure.add_annotation(text="No model was reconstructed", showarrow=False, font={"size": 16, "color": "#7d8797"})
    return figure


def _points(model: Model, most: int) -> dict[str, Any]:
    rows = thinned(len(model.points), at_most=most)
    xyz = model.points[rows].astype(np.float32)
    near = _close(xyz)
    x, y, z = xyz[near].T
    colors = [f"rgb({r},{g},{b})" for r, g, b in model.colors[rows][near]]
    return {
        "name": model.name,
        "mode": "markers",
        "x": x,
        "y": y,
        "z": z,
        "marker": {"size": 1.6, "color": colors},
        "hoverinfo": "skip",
    }


def _cameras(model: Model) -> dict[str, Any]:
    names = sorted(model.images)
    centers = centers_in_world(model)
    spread = np.vstack([centers, model.points[_close(model.points)]])
    radius = float(np.linalg.norm(np.ptp(spread, axis=0))) / 2 if len(spread) else 1.0
    size = frustum_size(centers, radius=radius or 1.0)
    lines: list[Array] = []
    texts: list[str] = []
    for name in names:
        image = model.images[name]
        corners = frustum(image, model.cameras[image.camera_id], size=size)
        lines.append(np.vstack([corners[list(_STROKE)], np.full((1, 3), np.nan)]))
        texts += [_hover(name, image.observations, image.mean_error_px)] * (len(_STROKE) + 1)
    x, y, z = np.vstack(lines or [np.zeros((0, 3))]).astype(np.float32).T
    color = COLORS[model.cluster % len(COLORS)]
    return {
        "name": f"{model.name} · {len(names)} photos",
        "mode": "lines",
        "x": x,
        "y": y,
        "z": z,
        "line": {"color": color, "width": 2},
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(name: str, observations: int, error_px: float) -> str:
    # plotly reads a few HTML tags, links among them, in hover texts.
    safe = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{safe}<br>{observations:,} observations · {error_px:.2f} px"


def _close(points: Array) -> Array:
    """Tell which points lie within a few spreads of the middle: one stray point must not shrink all others."""
    if not len(points):
        return np.zeros(0, bool)
    low, middle, high = np.percentile(points, (4, 50, 96), axis=0)
    reach = 4 * max(float(np.linalg.norm(high - low)), 1e-9)
    return np.linalg.norm(points - middle, axis=1) <= reach


def _home(models: Sequence[Model]) -> dict[str, Any]:
    """Return a view of the largest model from behind its cameras, with their up."""
    if not models or not models[0].images:
        return {}
    axes = np.array([image.cam_from_world.rotation for _, image in sorted(models[0].images.items())])
    up = -axes[:, 1].mean(axis=0)
    up = up if np.linalg.norm(up) > 0.1 else -axes[0, 1]
    ahead = axes[:, 2].mean(axis=0)
    ahead = ahead if np.linalg.norm(ahead) > 0.2 else axes[0, 2]
    eye = -1.5 * ahead / np.linalg.norm(ahead) + 0.5 * up / np.linalg.norm(up)
    return {name: dict(zip("xyz", map(float, vector), strict=True)) for name, vector in (("up", up), ("eye", eye))}
