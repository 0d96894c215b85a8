"""What a run's numbers mean, and which further photos would help, in plain words."""

from collections.abc import Iterator, Sequence

from reconflow.core.view_graph import Graph
from reconflow.stages.insights.facts import Insights

_WEAK_INLIERS = 60
_LOW_RATE = 0.8
_LOW_TRACK_LENGTH = 2.7
_HIGH_ERROR_PX = 1.5
_FEW_PHOTOS = 4


def warnings(facts: Insights, *, cut: int) -> Iterator[str]:
    """Yield what a person should not overlook; ``cut`` weak pairs were left out between scenes."""
    unreadable = [fate.name for fate in facts.images if fate.status == "unreadable"]
    if unreadable:
        yield f"{_count(len(unreadable), 'file')} could not be read: {_listed(unreadable)}."
    if not facts.models:
        yield "Nothing could be reconstructed."
        return
    if facts.registration_rate < _LOW_RATE:
        yield f"Only {facts.n_registered} of {facts.n_readable} photos were placed."
    if facts.mean_track_length is not None and facts.mean_track_length < _LOW_TRACK_LENGTH:
        yield f"A point is seen by only {facts.mean_track_length:.1f} photos on average, so depth is uncertain."
    if facts.mean_reprojection_error_px is not None and facts.mean_reprojection_error_px > _HIGH_ERROR_PX:
        yield (
            f"Points miss their keypoints by {facts.mean_reprojection_error_px:.1f} px on average: photos may be"
            " blurred, edited, or from lenses that the camera model does not fit."
        )
    for model in facts.models:
        if model.n_images <= _FEW_PHOTOS:
            yield f"{model.name} rests on {_count(model.n_images, 'photo')} only: take its shape with care."
    if cut:
        yield f"{_count(cut, 'weak match', 'weak matches')} between clusters looked like chance and went unused."


def recommendations(facts: Insights, graph: Graph) -> Iterator[str]:
    """Yield what would make the next run better: mostly, which photos to take."""
    if not facts.models:
        yield (
            "Take photos of one textured place from many sides, each sharing at least two thirds of its view with"
            " the next, and move between shots instead of turning on the spot."
        )
    joins = _joins(facts, graph)
    for (first, second), text in joins.items():
        yield f"Take more photos between {first} and {second}: they would join {text}."
    for link in facts.weak_links:
        if (link.first, link.second) in joins:
            continue
        hangs = f"{_count(link.severs, 'photo')} of cluster {link.cluster} {'hangs' if link.severs == 1 else 'hang'}"
        if link.only_link and link.severs > 1:
            yield f"Take more photos between {link.first} and {link.second}: {hangs} on this one pair."
        elif not link.only_link and link.inliers < _WEAK_INLIERS:
            yield (
                f"Take more photos between {link.first} and {link.second}: {hangs} on pairs with"
                f" {_count(link.inliers, 'inlier')} or fewer."
            )
    for cluster, names in _unplaced(facts).items():
        yield f"Take more photos around {_listed(names)}, which could not be placed in cluster {cluster}."
    alone = [fate.name for fate in facts.images if fate.status == "outlier"]
    if alone and facts.models:
        yield (
            f"If {_listed(alone)} should be part of a cluster, add photos on the way there;"
            f" otherwise leave {'it' if len(alone) == 1 else 'them'} out."
        )


def _joins(facts: Insights, graph: Graph) -> dict[tuple[str, str], str]:
    """Return the strongest pair between each two models that one scene fell into, with the models' names."""
    home = {fate.name: (fate.cluster, fate.model) for fate in facts.images if fate.model is not None}
    strongest: dict[tuple[str, str], tuple[int, str, str]] = {}
    for a in sorted(home.keys() & graph.keys()):
        for b in sorted(home.keys() & graph[a].keys()):
            (cluster, one), (other_cluster, other) = home[a], home[b]
            if cluster == other_cluster and one < other:
                best = strongest.get((one, other), (0, "", ""))
                strongest[one, other] = min(best, (-graph[a][b], min(a, b), max(a, b)))
    return {(a, b): f"{one} and {other}" for (one, other), (_, a, b) in sorted(strongest.items())}


def _unplaced(facts: Insights) -> dict[int | None, list[str]]:
    found: dict[int | None, list[str]] = {}
    for fate in facts.images:
        if fate.status == "unregistered":
            found.setdefault(fate.cluster, []).append(fate.name)
    return found


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def _listed(names: Sequence[str], at_most: int = 3) -> str:
    shown = list(names[:at_most])
    if len(names) > at_most:
        return f"{', '.join(shown)} and {len(names) - at_most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
