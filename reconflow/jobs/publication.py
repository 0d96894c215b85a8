"""A finished run → the folder that downloads are served from, made whole under a temporary name and then renamed.

Everything is written out here, by the runner, so that the web process only hands out files.
"""

import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reconflow.core.cameras import CAMERA_PARAMETERS, Camera
from reconflow.core.models import Model
from reconflow.core.submission import OUTLIERS, PoseRow, read_poses, write_poses
from reconflow.jobs.records import Job
from reconflow.jobs.results import ClusterEntry, ImageEntry
from reconflow.jobs.viewer_files import write_viewer_files
from reconflow.pipeline.cloud import decimated_ply, raw_ply
from reconflow.pipeline.result import RunResult
from reconflow.report.scenes import upright
from reconflow.store.publish import publishing
from reconflow.store.run_folder import read_records

_OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes of nerfstudio (x right, y up, z backward) from ours (x right, y down, z forward)."""


def publish_result(run: RunResult, job: Job, target: Path, *, check: Callable[[], None]) -> None:
    """Write what a job's owner may download into ``target``, in place of what an earlier attempt left there.

    ``check`` is called before each file and at the end; where it raises, nothing of this attempt is left.
    """
    check()
    records = read_records(run.folder)
    shutil.rmtree(target, ignore_errors=True)
    with publishing(target) as partial:
        partial.mkdir()
        _write_plys(run, job, partial, check)
        _write_tables(run, job, partial)
        _write_cameras(run.clusters, {record.name: record.orientation for record in records}, partial)
        write_viewer_files(run, records, partial, check=check)
        _zip(partial / "plys.zip", sorted(partial.glob("*.ply")), below=partial, check=check)
        models = run.folder / "models"
        kept = sorted(path for path in models.rglob("*") if path.is_file())
        _zip(partial / "models.zip", kept, below=models, check=check)
        (partial / "report.html").write_bytes((run.folder / "report.html").read_bytes())
        check()


def ply_name(name: str, job_id: str) -> str:
    """Return the name a cloud is downloaded under.

    >>> ply_name("cluster0_decimated_model0.ply", "3f7a91b2-0000-4000-8000-000000000000")
    'cluster0_decimated_model0_3f7a91b2.ply'
    """
    return f"{name.removesuffix('.ply')}_{job_id[:8]}.ply"


def _write_plys(run: RunResult, job: Job, folder: Path, check: Callable[[], None]) -> None:
    entries: list[ClusterEntry] = []
    for model in run.clusters:
        served = ""
        for source in (raw_ply(run.folder, model.name), decimated_ply(run.folder, model.name)):
            check()
            if len(model.points) and source.exists():
                served = ply_name(source.name, job.job_id)
                (folder / served).write_bytes(source.read_bytes())
        entries.append(ClusterEntry(id=len(entries), name=model.name, num_points3D=len(model.points), filename=served))
    (folder / "clusters.json").write_bytes(msgspec.json.encode(entries))


def _write_tables(run: RunResult, job: Job, folder: Path) -> None:
    poses = read_poses(run.folder / "submission.csv")
    first = min((row.scene for row in poses if row.scene != OUTLIERS), default=OUTLIERS)
    rows = [_named(row, job, first) for row in poses]
    write_poses(rows, folder / "submission.csv")
    write_poses(rows, folder / "submission-kaggle.csv", kaggle=True)
    images = [
        ImageEntry(
            name=fate.name,
            registered=fate.status == "registered",
            status=fate.status,
            cluster=fate.model,
            inliers=fate.observations,
            mean_reprojection_error_px=fate.mean_reprojection_error_px,
            reason=fate.reason,
            width=fate.width,
            height=fate.height,
            connected_photos=fate.verified_neighbours,
        )
        for fate in run.insights.images
    ]
    (folder / "images.json").write_bytes(msgspec.json.encode(images))
    (folder / "insights.json").write_bytes((run.folder / "report.json").read_bytes())


def _named(row: PoseRow, job: Job, first: str) -> PoseRow:
    """Give the first scene the name of the upload, and others that name too: ``scene_01_cluster1_model0``."""
    scene = row.scene
    if scene != OUTLIERS:
        scene = job.scene_name if scene == first else f"{job.scene_name}_{scene}"
    return msgspec.structs.replace(row, dataset=job.dataset_name, scene=scene)


def _write_cameras(models: Sequence[Model], orientations: Mapping[str, int], folder: Path) -> None:
    tree = {model.name: _cameras(model, orientations) for model in models}
    (folder / "cameras.json").write_bytes(msgspec.json.encode(tree))
    (folder / "transforms").mkdir()
    for model in models:
        (folder / "transforms" / f"{model.name}.json").write_bytes(msgspec.json.encode(_transforms(model)))


def _cameras(model: Model, orientations: Mapping[str, int]) -> dict[str, Any]:
    """World to camera, x_cam = R x_world + t; intrinsics in pixels, the centre of the top-left pixel at (0.5, 0.5).

    ``orientation`` is the EXIF tag, for display: poses and intrinsics are those of the raw raster. ``up`` is the unit
    vector in the world that photographers held upwards.
    """
    return {
        "up": upright(model, orientations)[2].tolist(),
        "cameras": {str(number): _intrinsics(camera) for number, camera in sorted(model.cameras.items())},
        "images": {
            name: {
                "camera": str(image.camera_id),
                "rotation": image.cam_from_world.rotation.tolist(),
                "translation": image.cam_from_world.translation.tolist(),
                "orientation": orientations.get(name, 1),
            }
            for name, image in sorted(model.images.items())
        },
    }


def _intrinsics(camera: Camera) -> dict[str, Any]:
    names = CAMERA_PARAMETERS[camera.model]
    params = dict(zip(names, camera.params, strict=True))
    return {"model": camera.model, "width": camera.width, "height": camera.height, "params": params}


def _transforms(model: Model) -> dict[str, Any]:
    """Nerfstudio's ``transforms.json``: camera to world in OpenGL's axes, one camera per frame."""
    frames = []
    for name, image in sorted(model.images.items()):
        pose = image.cam_from_world
        world_from_cam = np.eye(4)
        world_from_cam[:3, :3] = pose.rotation.T
        world_from_cam[:3, 3] = pose.center_in_world
        frame = {"file_path": name, "transform_matrix": (world_from_cam @ _OPENGL_FROM_OPENCV).tolist()}
        frames.append(frame | _nerfstudio_intrinsics(model.cameras[image.camera_id]))
    return {"frames": frames}


def _nerfstudio_intrinsics(camera: Camera) -> dict[str, Any]:
    values = dict(zip(CAMERA_PARAMETERS[camera.model], camera.params, strict=True))
    fisheye = camera.model == "OPENCV_FISHEYE"
    return {
        "camera_model": "OPENCV_FISHEYE" if fisheye else "OPENCV",
        "w": camera.width,
        "h": camera.height,
        "fl_x": values.get("fx", values.get("f", 0.0)),
        "fl_y": values.get("fy", values.get("f", 0.0)),
        "cx": values["cx"],
        "cy": values["cy"],
        "k1": values.get("k1", values.get("k", 0.0)),
        **{name: values.get(name, 0.0) for name in (("k2", "k3", "k4") if fisheye else ("k2", "p1", "p2"))},
    }


def _zip(path: Path, files: Sequence[Path], *, below: Path, check: Callable[[], None]) -> None:
    """Pack files as they are: clouds and models hardly compress, and a download should begin at once."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for file in files:
            check()
            archive.write(file, file.relative_to(below).as_posix())
