"""A run in a notebook's output cell."""

from html import escape

from reconflow.report.sections import STATUS_LABELS, model_labels, verdict
from reconflow.stages.insights import Insights

_LOST_SHOWN = 8
_NOTES_SHOWN = 6
_CELL = "padding:4px 16px 4px 0;text-align:{};background:none"


def result_html(facts: Insights) -> str:
    """Return an HTML fragment: the verdict, the models, what stands out and which photos were left out.

    Colours are inherited, so that it reads well in light and dark notebooks.
    """
    parts = [f'<p style="font-size:1.1em;margin:0 0 8px">{verdict(facts)}</p>']
    if facts.models:
        parts.append(_models(facts))
    notes = (*facts.warnings, *facts.recommendations)
    parts += [f'<p style="margin:4px 0">• {escape(note)}</p>' for note in notes[:_NOTES_SHOWN]]
    if facts.lost:
        parts.append(_lost(facts))
    return f'<div style="max-width:60em;line-height:1.45">{"".join(parts)}</div>'


def _models(facts: Insights) -> str:
    labels = model_labels([model.name for model in facts.models])
    rows = [
        (
            labels[model.name],
            f"{model.n_images}",
            f"{model.n_points:,}",
            f"{model.mean_track_length:.1f}",
            f"{model.mean_reprojection_error_px:.2f} px",
        )
        for model in facts.models
    ]
    heads = ("Model", "Photos", "Points", "Track length", "Reprojection error")
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f'<table style="margin:0 0 10px;border-collapse:collapse"><tr>{_cells("th", heads)}</tr>{body}</table>'


def _cells(tag: str, values: tuple[str, ...]) -> str:
    return "".join(
        f'<{tag} style="{_CELL.format("left" if column == 0 else "right")}">{escape(value)}</{tag}>'
        for column, value in enumerate(values)
    )


def _lost(facts: Insights) -> str:
    lost = facts.lost
    items = "".join(
        f"<li><bdi>{escape(fate.name)}</bdi> – {STATUS_LABELS[fate.status].lower()}: {escape(fate.reason)}</li>"
        for fate in lost[:_LOST_SHOWN]
    )
    more = f"<li>and {len(lost) - _LOST_SHOWN} more</li>" if len(lost) > _LOST_SHOWN else ""
    count = "1 photo was" if len(lost) == 1 else f"{len(lost)} photos were"
    return f'<details style="margin-top:8px"><summary>{count} left out</summary><ul>{items}{more}</ul></details>'
