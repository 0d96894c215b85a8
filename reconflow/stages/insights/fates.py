"""What became of every photo, and how good the models are."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.models import Model
from reconflow.core.scenes import Split
from reconflow.core.view_graph import Graph, view_graph
from reconflow.stages.insights.advice import recommendations, warnings
from reconflow.stages.insights.facts import ImageFate, Insights, ModelSummary
from reconflow.stages.insights.weak_links import weak_links

LONGEST_TRACK_BIN = 10


def insights(
    models: Sequence[Model],
    *,
    images: Sequence[ImageRecord],
    unreadable: Sequence[Unreadable] = (),
    pairs: Sequence[PairSummary] = (),
    split: Split,
    methods: str = "",
    timings_s: Mapping[str, float],
    reused: Mapping[str, int] | None = None,
    unregistered: Mapping[str, str] | None = None,
) -> Insights:
    """Return the fate of every file and the state of every model.

    Parameters
    ----------
    models : sequence of Model
        All models of all scenes. A photo in two of them belongs to the one with more photos.
    images, unreadable : sequences
        The input: each file in exactly one of them (a name in both counts as readable).
    pairs : sequence of PairSummary
        Every matched pair, verified or not.
    split : Split
        Scenes and outliers.
    methods : str
        Which extractors and matchers it was.
    timings_s, reused : mappings
        Seconds, and items taken from the store, by stage in the order they ran.
    unregistered : mapping of str to str, optional
        Photo → why it is in no model, for scenes that have none; those of scenes with models know it themselves.

    """
    graph = view_graph((image.name for image in images), pairs)
    homes = _homes(models)
    reasons = {name: why for model in models for name, why in model.unregistered.items()} | dict(unregistered or {})
    fates = _fates(images, unreadable, graph=graph, homes=homes, split=split, reasons=reasons)
    links = tuple(link for scene in split.scenes for link in weak_links(graph, scene.images, cluster=scene.id))
    registered = sum(fate.status == "registered" for fate in fates)
    lengths = np.concatenate([model.track_lengths for model in models] or [np.zeros(0, np.int32)])
    errors = np.concatenate([model.errors_px for model in models] or [np.zeros(0, np.float32)])
    facts = Insights(
        n_images=len(fates),
        n_readable=len(graph),
        n_registered=registered,
        registration_rate=registered / len(graph) if graph else 0.0,
        n_points=len(lengths),
        mean_track_length=_mean(lengths),
        mean_reprojection_error_px=_mean(errors),
        track_length_histogram=_histogram(lengths),
        n_pairs=len(pairs),
        n_verified_pairs=sum(pair.verified for pair in pairs),
        images=fates,
        models=tuple(_summary(model) for model in _by_size(models)),
        weak_links=links,
        warnings=(),
        recommendations=(),
        methods=methods,
        timings_s=dict(timings_s),
        reused=dict(reused or {}),
    )
    return msgspec.structs.replace(
        facts,
        warnings=tuple(warnings(facts, cut=len(split.cut_bridges))),
        recommendations=tuple(recommendations(facts, graph)),
    )


def _by_size(models: Iterable[Model]) -> list[Model]:
    return sorted(models, key=lambda model: (-len(model.images), model.name))


def _homes(models: Iterable[Model]) -> dict[str, Model]:
    """Return the model of each registered photo: of several, the one with most photos."""
    homes: dict[str, Model] = {}
    for model in _by_size(models):
        for name in model.images:
            homes.setdefault(name, model)
    return homes


def _fates(
    images: Sequence[ImageRecord],
    unreadable: Sequence[Unreadable],
    *,
    graph: Graph,
    homes: Mapping[str, Model],
    split: Split,
    reasons: Mapping[str, str],
) -> tuple[ImageFate, ...]:
    scene_of = {name: scene.id for scene in split.scenes for name in scene.images}
    fates = {
        bad.name: ImageFate(name=bad.name, status="unreadable", reason=bad.reason or "cannot be read")
        for bad in unreadable
    }
    for record in images:
        name = record.name
        seen = ImageFate(
            name=name,
            status="outlier",
            verified_neighbours=len(graph[name]),
            width=record.width,
            height=record.height,
            orientation=record.orientation,
        )
        if name in homes:
            fates[name] = _placed(seen, homes[name])
        elif name in scene_of:
            why = reasons.get(name) or "its scene could not be reconstructed"
            fates[name] = msgspec.structs.replace(seen, status="unregistered", cluster=scene_of[name], reason=why)
        else:
            why = split.outliers.get(name) or "no verified match with any photo"
            fates[name] = msgspec.structs.replace(seen, reason=why)
    return tuple(fates[name] for name in sorted(fates))


def _placed(seen: ImageFate, model: Model) -> ImageFate:
    image = model.images[seen.name]
    error = image.mean_error_px
    return msgspec.structs.replace(
        seen,
        status="registered",
        cluster=model.cluster,
        model=model.name,
        observations=image.observations,
        mean_reprojection_error_px=float(error) if np.isfinite(error) and error >= 0 else None,
    )


def _summary(model: Model) -> ModelSummary:
    return ModelSummary(
        name=model.name,
        cluster=model.cluster,
        n_images=len(model.images),
        n_points=len(model.points),
        n_observations=int(model.track_lengths.sum()),
        mean_track_length=_mean(model.track_lengths) or 0.0,
        mean_reprojection_error_px=_mean(model.errors_px) or 0.0,
    )


def _mean(values: Array) -> float | None:
    """Return the mean of what is finite and not negative (COLMAP marks an error it did not compute by −1)."""
    known = values[np.isfinite(values) & (values >= 0)]
    return float(known.mean(dtype=np.float64)) if len(known) else None


def _histogram(lengths: Array) -> dict[str, int]:
    bins = {str(length): int((lengths == length).sum()) for length in range(2, LONGEST_TRACK_BIN)}
    return bins | {f"{LONGEST_TRACK_BIN}+": int((lengths >= LONGEST_TRACK_BIN).sum())}
