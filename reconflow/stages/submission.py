"""Models → the rows of the IMC2025 submission: every readable photo exactly once."""

from collections.abc import Mapping, Sequence

from reconflow.core.models import Model
from reconflow.core.submission import OUTLIERS, PoseRow


def submission_rows(models: Sequence[Model], *, images: Sequence[str], dataset: str) -> list[PoseRow]:
    """Return one row per photo, sorted by name.

    A registered photo stands in the scene named after its model, with its pose; where it is in two models, the one
    with more photos keeps it. A photo that could not be registered stands without a pose in the largest model of
    its scene, and among the outliers where its scene has no model or it belongs to none.

    Parameters
    ----------
    models : sequence of Model
        All models of all scenes.
    images : sequence of str
        Names of all readable photos.
    dataset : str
        First column of every row.

    """
    home: dict[str, Model] = {}
    waiting: dict[str, str] = {}
    for model in sorted(models, key=lambda m: (-len(m.images), m.name)):
        for name in model.images:
            home.setdefault(name, model)
        for name in model.unregistered:
            waiting.setdefault(name, model.name)
    return [_row(name, home, waiting, dataset) for name in sorted(images)]


def _row(name: str, home: Mapping[str, Model], waiting: Mapping[str, str], dataset: str) -> PoseRow:
    model = home.get(name)
    scene = waiting.get(name, OUTLIERS) if model is None else model.name
    pose = None if model is None else model.images[name].cam_from_world
    return PoseRow(dataset=dataset, scene=scene, image=name, cam_from_world=pose)
