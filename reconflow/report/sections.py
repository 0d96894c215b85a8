"""The parts of the page that need no script: plain HTML, every name escaped."""

from collections.abc import Mapping, Sequence
from html import escape

from reconflow.stages.insights import ImageFate, Insights, WeakLink

CLUSTER_COLORS = 8
"""Clusters take turns with so many colours; ``--c0`` … ``--c7`` in report.css."""

STAGE_LABELS = {
    "weights": "Fetching weights",
    "ingest": "Reading photos",
    "extract": "Finding features",
    "shortlist": "Choosing pairs",
    "match": "Matching pairs",
    "turn": "Turning photos",
    "split": "Finding scenes",
    "reconstruct": "Placing cameras",
    "cloud": "Cleaning points",
    "report": "Writing results",
}
STATUS_LABELS = {
    "registered": "Placed",
    "unregistered": "Not placed",
    "outlier": "Outlier",
    "unreadable": "Unreadable",
}
_HEADS = (
    ("name", "Photo", "text"),
    ("cluster", "Cluster", "number"),
    ("observations", "Observations", "number"),
    ("error", "Error", "number"),
    ("neighbours", "Neighbours", "number"),
)
_NAMES_IN_GROUP = 60
_WEAK_INLIERS = 100


def color_class(cluster: int | None) -> str:
    """Return the CSS class that carries a cluster's colour."""
    return "lost" if cluster is None else f"c{cluster % CLUSTER_COLORS}"


def verdict(facts: Insights) -> str:
    """Return the run in a sentence or two."""
    if not facts.models:
        return f"None of {_photos(facts.n_readable)} could be placed; the reasons are below."
    clusters = len({model.cluster for model in facts.models})
    where = "one cluster" if clusters == 1 else f"{clusters} clusters"
    if len(facts.models) > clusters:
        where += f" and {len(facts.models)} models"
    text = f"<strong>{facts.n_registered} of {_photos(facts.n_readable)}</strong> placed in {where}."
    unreadable = facts.n_images - facts.n_readable
    return f"{text} {_photos(unreadable)} could not be read." if unreadable else text


def tiles(facts: Insights) -> str:
    """Return the five figures at the top."""
    error, length = facts.mean_reprojection_error_px, facts.mean_track_length
    figures = [
        ("Photos placed", _percent(facts.registration_rate), f"{facts.n_registered} of {facts.n_readable}"),
        ("Points", f"{facts.n_points:,}", "in all models"),
        ("Reprojection error", "–" if error is None else f"{error:.2f} px", "mean over points"),
        ("Track length", "–" if length is None else f"{length:.1f}", "photos that see a point"),
        (
            "Time",
            duration(sum(facts.timings_s.values())),
            f"{facts.n_verified_pairs:,} of {facts.n_pairs:,} pairs hold",
        ),
    ]
    return "".join(
        f"<div><dt>{label}</dt><dd>{escape(value)}</dd><dd class='sub'>{escape(note)}</dd></div>"
        for label, value, note in figures
    )


def navigation(facts: Insights) -> str:
    """Return links to the sections."""
    places = [("scene", "3D"), ("findings", "Findings"), ("photos", "Photos")]
    places += [("pairs", "Connections")] * bool(facts.n_pairs) + [("time", "Time")] * bool(facts.timings_s)
    return "".join(f'<a href="#{place}">{label}</a>' for place, label in places)


def scene(facts: Insights) -> str:
    """Return the 3D viewer's place, or what stands there where there is no model."""
    if not facts.models:
        advice = "".join(f"<li>{escape(text)}</li>" for text in facts.recommendations)
        return (
            '<section class="card no-model" id="scene" aria-labelledby="scene-title"><h2 id="scene-title">No model</h2>'
            "<p>There are no cameras or points to show. The list of photos says for each of them why.</p>"
            f"<ul>{advice}</ul></section>"
        )
    labels = model_labels([model.name for model in facts.models])
    chips = "".join(
        f'<button type="button" class="chip {color_class(model.cluster)}" data-scene="{number}" aria-pressed="false"'
        f' title="{escape(model.name)}: {model.n_images} photos, {model.n_points:,} points"><i></i>'
        f"{escape(labels[model.name])}<small>{model.n_images}</small></button>"
        for number, model in enumerate(facts.models)
    )
    return _VIEWER.replace("CHIPS", chips)


_VIEWER = """
<section class="card scene" id="scene" aria-labelledby="scene-title">
  <h2 id="scene-title" class="hidden-title">3D view</h2>
  <div class="stage">
    <canvas id="view" tabindex="0" role="application" aria-label="3D view of points and cameras. Arrow keys turn, plus
 and minus zoom, N and P go from photo to photo, Enter looks through the camera, R resets."></canvas>
    <div class="chips over" id="scenes" role="group" aria-label="Cluster">CHIPS</div>
    <div class="over corner">
      <label>Points <input type="range" id="point-size" min="0.3" max="3" step="0.1" value="1"></label>
      <label class="tick"><input type="checkbox" id="show-cameras" checked> Cameras</label>
      <button type="button" id="reset">Reset view</button>
    </div>
    <p class="hint over" id="hint">Drag to turn · right-drag to move · click, then scroll to zoom</p>
    <p class="stage-note" id="stage-note" hidden></p>
  </div>
  <aside class="selected" id="selected" aria-live="polite"></aside>
</section>
"""


def findings(facts: Insights) -> str:
    """Return warnings, advice, the weakest links and why photos were left out."""
    notes = [("warn", text) for text in facts.warnings]
    notes += [("tip", text) for text in facts.recommendations if facts.models]
    if not notes:
        notes = [("good", "Every photo was placed and nothing looks weak. There is nothing to do.")]
    items = "".join(f'<li class="{kind}"><span>{escape(text)}</span></li>' for kind, text in notes)
    numbers = {fate.name: number for number, fate in enumerate(facts.images)}
    weakest = [link for link in facts.weak_links if link.only_link or link.inliers < _WEAK_INLIERS]
    links = "".join(_link(link, numbers) for link in weakest)
    weak = f'<h3>Weakest links</h3><ul class="links">{links}</ul>' if links else ""
    return (
        '<section class="card" id="findings" aria-labelledby="findings-title">'
        f'<h2 id="findings-title">What stands out</h2><ul class="notes">{items}</ul>{weak}{_left_out(facts, numbers)}'
        "</section>"
    )


def _link(link: WeakLink, numbers: Mapping[str, int]) -> str:
    side = "1 photo hangs" if link.severs == 1 else f"{link.severs} photos hang"
    how = f"{side} on this pair alone" if link.only_link else f"{side} on no stronger pair"
    ends = "".join(_end(name, numbers) for name in (link.first, link.second))
    return (
        f'<li class="{color_class(link.cluster)}"><div class="ends">{ends}</div>'
        f"<p><strong>{link.inliers} inliers</strong> · {how}</p></li>"
    )


def _left_out(facts: Insights, numbers: Mapping[str, int]) -> str:
    """Return the lost photos, grouped by reason, the commonest first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for fate in facts.lost:
        groups.setdefault((fate.status, fate.reason), []).append(fate.name)
    if not groups:
        return ""
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    parts = "".join(_reason(status, why, names, numbers) for (status, why), names in ordered)
    return f'<h3>Left out, and why</h3><ul class="reasons">{parts}</ul>'


def _reason(status: str, why: str, names: Sequence[str], numbers: Mapping[str, int]) -> str:
    shown = "".join(_end(name, numbers) for name in names[:_NAMES_IN_GROUP])
    rest = f"<small>and {len(names) - _NAMES_IN_GROUP} more</small>" if len(names) > _NAMES_IN_GROUP else ""
    return (
        f'<li><p><span class="badge {status}">{STATUS_LABELS[status]}</span> {escape(why)}'
        f" <small>{_photos(len(names))}</small></p><div class='ends'>{shown}{rest}</div></li>"
    )


def _end(name: str, numbers: Mapping[str, int]) -> str:
    number = numbers[name]
    return f'<button type="button" class="end" data-go="{number}">{_picture(number)}<bdi>{escape(name)}</bdi></button>'


def filters(facts: Insights) -> str:
    """Return the buttons that narrow the table."""
    counts = [("all", "All", facts.n_images)]
    for status, label in STATUS_LABELS.items():
        number = sum(fate.status == status for fate in facts.images)
        counts += [(status, label, number)] * bool(number)
    return "".join(
        f'<button type="button" class="chip" data-filter="{status}" aria-pressed="{str(status == "all").lower()}">'
        f"{label}<small>{number}</small></button>"
        for status, label, number in counts
    )


def table_heads() -> str:
    """Return the sortable column heads."""
    return "".join(
        f'<th scope="col" class="{kind} k-{key}" aria-sort="{"ascending" if key == "name" else "none"}">'
        f'<button type="button" data-sort="{key}">{label}</button></th>'
        for key, label, kind in _HEADS
    )


def table_rows(facts: Insights) -> str:
    """Return a row per file of the input."""
    return "\n".join(_row(number, fate) for number, fate in enumerate(facts.images))


def _row(number: int, fate: ImageFate) -> str:
    error = fate.mean_reprojection_error_px
    cluster = "" if fate.cluster is None else f'<span class="dot {color_class(fate.cluster)}"></span>{fate.cluster}'
    observations = f"{fate.observations:,}" if fate.status == "registered" else ""
    badge = f'<span class="badge {fate.status}">{STATUS_LABELS[fate.status]}</span>'
    why = f'<span class="state">{badge}<span class="why">{escape(fate.reason)}</span></span>' if fate.reason else ""
    return (
        f'<tr data-row="{number}" data-status="{fate.status}">'
        f'<th scope="row"><button type="button" class="photo" data-go="{number}">{_picture(number)}'
        f"<span><bdi>{escape(fate.name)}</bdi>{why}</span></button></th>"
        f'<td class="number k-cluster" data-v="{-1 if fate.cluster is None else fate.cluster}">{cluster}</td>'
        f'<td class="number k-observations" data-v="{fate.observations}">{observations}</td>'
        f'<td class="number k-error" data-v="{-1 if error is None else error}">'
        f"{'' if error is None else f'{error:.2f} px'}</td>"
        f'<td class="number k-neighbours" data-v="{fate.verified_neighbours}">{fate.verified_neighbours}</td></tr>'
    )


def connections(facts: Insights) -> str:
    """Return the place of the map of pairs and the histogram of track lengths."""
    if not facts.n_pairs:
        return ""
    bars = bar_columns(facts.track_length_histogram) if facts.n_points else ""
    tracks = (
        '<div class="tracks"><h3>Track lengths</h3><p class="sub">Points by the number of photos that see them</p>'
        f"{bars}</div>"
        if bars
        else ""
    )
    return (
        '<section class="card" id="pairs" aria-labelledby="pairs-title"><h2 id="pairs-title">How photos connect</h2>'
        f'<p class="sub">{facts.n_verified_pairs:,} of {facts.n_pairs:,} pairs share a verified geometry. Photos are in'
        " order of their clusters; the stronger the colour, the more inliers.</p>"
        '<div class="pair-map"><div class="map"><canvas id="matrix" tabindex="0" role="application" aria-label="Map of'
        ' pairs of photos. Arrow keys move, Enter selects."></canvas></div>'
        f'<div class="beside"><div id="pair-detail" aria-live="polite"></div>{tracks}</div></div></section>'
    )


def bar_columns(histogram: Mapping[str, int]) -> str:
    """Return a histogram as upright bars."""
    top = max([*histogram.values(), 1])
    columns = "".join(
        f'<li><span class="count">{count:,}</span><i style="height:{max(1.0, 100 * count / top):.0f}px"></i>'
        f"<span>{escape(label)}</span></li>"
        for label, count in histogram.items()
    )
    return f'<ol class="columns">{columns}</ol>'


def costs(facts: Insights) -> str:
    """Return the time each stage took, and the methods that took it."""
    if not facts.timings_s:
        return ""
    total, longest = sum(facts.timings_s.values()), max(facts.timings_s.values())
    bars = "".join(
        f'<li><span class="what">{escape(STAGE_LABELS.get(stage, stage))}</span>'
        f'<span class="track"><i style="width:{100 * seconds / longest if longest else 0:.1f}%"></i></span>'
        f'<span class="much">{duration(seconds)}</span><span class="kept">{_reused(facts, stage)}</span></li>'
        for stage, seconds in facts.timings_s.items()
    )
    return (
        '<section class="card" id="time" aria-labelledby="time-title"><h2 id="time-title">Where the time went</h2>'
        f'<p class="sub">{duration(total)} in all{_methods(facts)}</p><ul class="bars">{bars}</ul></section>'
    )


def _methods(facts: Insights) -> str:
    return f" · features and matches: {escape(facts.methods)}" if facts.methods else ""


def duration(seconds: float) -> str:
    """Return seconds for reading.

    >>> duration(0.04), duration(8.25), duration(75), duration(3725)
    ('0.04 s', '8.2 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _reused(facts: Insights, stage: str) -> str:
    count = facts.reused.get(stage, 0)
    return f"{count:,} reused" if count else ""


def model_labels(names: Sequence[str]) -> dict[str, str]:
    """Return what to call each model on the page.

    >>> model_labels(["cluster0_model0", "cluster0_model1", "cluster1_model0"])
    {'cluster0_model0': 'Cluster 0 · part 1', 'cluster0_model1': 'Cluster 0 · part 2', 'cluster1_model0': 'Cluster 1'}
    """
    parts = {name: name.removeprefix("cluster").partition("_model") for name in names}
    clusters = [cluster for cluster, _, _ in parts.values()]
    return {
        name: f"Cluster {cluster} · part {int(number) + 1}" if clusters.count(cluster) > 1 else f"Cluster {cluster}"
        for name, (cluster, _, number) in parts.items()
    }


def _picture(number: int) -> str:
    return f'<img class="thumb" data-photo="{number}" alt="" decoding="async">'


def _percent(rate: float) -> str:
    # 99.7 % must not read as all of them.
    return f"{min(round(100 * rate), 99) if rate < 1 else 100} %"


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count:,} photos"
