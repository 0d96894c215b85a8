"""A finished run, for notebooks: models, photos and pictures of both."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from reconflow.core.models import Model
from reconflow.core.submission import PoseRow, read_poses
from reconflow.errors import InputError
from reconflow.report.figures import plot_models
from reconflow.report.notebook import result_html
from reconflow.stages.insights import IMAGE_COLUMNS, Insights, image_table
from reconflow.stages.reconstruct import read_model

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    folder: Path
    """Where every file of it is."""
    insights: Insights
    """The run in numbers and words: the content of ``report.json``."""
    clusters: tuple[Model, ...]
    """All models of all scenes, by scene and falling size; empty where nothing could be reconstructed."""

    @property
    def outcome(self) -> str:
        """How many photos found a place, and in how many models, in words."""
        models = "1 model" if len(self.clusters) == 1 else f"{len(self.clusters)} models"
        return f"{self.insights.n_registered} of {self.insights.n_readable} photos placed in {models}"

    @property
    def images(self) -> "pd.DataFrame":
        """One row per file of the input, as in ``images.csv``, with the name as index."""
        import pandas as pd

        return pd.DataFrame(image_table(self.insights), columns=list(IMAGE_COLUMNS)).set_index(IMAGE_COLUMNS[0])

    @property
    def poses(self) -> list[PoseRow]:
        """The rows of ``submission.csv``."""
        return read_poses(self.folder / "submission.csv")

    def plot(self) -> "go.Figure":
        """Return a 3D figure of points and cameras."""
        return plot_models(self.clusters)

    def _repr_html_(self) -> str:
        return result_html(self.insights)


def open_result(folder: str | os.PathLike[str]) -> RunResult:
    """Open the result of an earlier run.

    Raises
    ------
    InputError
        If ``folder`` is not the folder of a finished run.

    """
    path = Path(folder)
    try:
        summary = msgspec.json.decode((path / "report.json").read_bytes(), type=Insights)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{path} is not the folder of a finished run: {error}") from error
    lost = {fate.name: fate for fate in summary.images if fate.status == "unregistered"}
    clusters = tuple(
        read_model(
            path / "models" / model.name,
            name=model.name,
            unregistered={name: fate.reason for name, fate in lost.items() if fate.cluster == model.cluster},
        )
        for model in sorted(summary.models, key=lambda m: (m.cluster, m.name))
    )
    return RunResult(path, summary, clusters)
