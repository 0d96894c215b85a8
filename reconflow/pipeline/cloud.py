"""The cloud task: a model's points, raw and cleaned, as two PLY files."""

import contextlib
from pathlib import Path

import msgspec
import numpy as np

from reconflow.core.clouds import PointCloud, write_ply
from reconflow.core.open3d_library import load_open3d
from reconflow.errors import DependencyError
from reconflow.pipeline.work_items import CloudTask
from reconflow.stages.cloud import clean_cloud
from reconflow.stages.reconstruct import read_model
from reconflow.store.publish import publishing


class CloudOutcome(msgspec.Struct, frozen=True):
    """How many points a model's decimated cloud has, and why there is none where there is none."""

    name: str
    decimated_points: int
    failure: str = ""


def raw_ply(folder: Path, name: str) -> Path:
    """Return where a model's raw cloud is: ``cluster0_model1.ply``."""
    return folder / f"{name}.ply"


def decimated_ply(folder: Path, name: str) -> Path:
    """Return where a model's decimated cloud is: ``cluster0_decimated_model1.ply``."""
    cluster, _, model = name.partition("_")
    return folder / f"{cluster}_decimated_{model}.ply"


def load_cloud_library() -> None:
    """Load Open3D ahead of time: it takes a second, in which this worker would wait for COLMAP."""
    with contextlib.suppress(DependencyError):
        load_open3d()


def write_clouds(task: CloudTask, _loaded: None = None) -> CloudOutcome:
    """Write both clouds of a model; without Open3D's system libraries, the raw one and what to install.

    ``_loaded`` stands for :func:`load_cloud_library`, so that Dask sends the task where that ran.
    """
    model = read_model(Path(task.model_folder), name=task.name)
    folder = Path(task.folder)
    raw = PointCloud(model.points, model.colors)
    with publishing(raw_ply(folder, task.name)) as partial:
        write_ply(raw, partial)
    centers = np.array([image.cam_from_world.center_in_world for image in model.images.values()]).reshape(-1, 3)
    try:
        clean = clean_cloud(raw, observations=model.track_lengths, camera_centers=centers, config=task.config)
    except DependencyError as error:
        return CloudOutcome(task.name, 0, error.message)
    with publishing(decimated_ply(folder, task.name)) as partial:
        write_ply(clean, partial)
    return CloudOutcome(task.name, len(clean))
