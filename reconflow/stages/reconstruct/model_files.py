"""COLMAP model folders → :class:`Model` values."""

from pathlib import Path

import numpy as np
import pycolmap

from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera, Pose
from reconflow.core.models import Model, RegisteredImage


def read_model(folder: Path, *, name: str, unregistered: dict[str, str] | None = None) -> Model:
    """Return the model in a folder of COLMAP binary or text files.

    Parameters
    ----------
    folder : Path
        Holds ``cameras``, ``images``, ``points3D``, and ``rigs`` and ``frames``.
    name : str
        ``cluster<i>_model<j>``.
    unregistered : dict, optional
        Photos of the scene that are in no model, with the reason.

    """
    found = pycolmap.Reconstruction(str(folder))
    points = [point for _, point in sorted(found.points3D.items())]
    observed = _observations(points)
    return Model(
        name=name,
        images=_images(found, observed, np.array([point.xyz for point in points]).reshape(-1, 3)),
        cameras={int(number): Camera.from_colmap(camera) for number, camera in sorted(found.cameras.items())},
        points=np.array([point.xyz for point in points]).reshape(-1, 3),
        colors=np.array([point.color for point in points], np.uint8).reshape(-1, 3),
        errors_px=np.array([point.error for point in points], np.float32),
        track_lengths=np.array([point.track.length() for point in points], np.int32),
        unregistered=dict(unregistered or {}),
    )


def _observations(points: "list[pycolmap.Point3D]") -> Array:
    """Return (M, 3) int64: image id, keypoint row and point row of every observation."""
    rows = [
        (element.image_id, element.point2D_idx, row)
        for row, point in enumerate(points)
        for element in point.track.elements
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


def _images(found: "pycolmap.Reconstruction", observed: Array, xyz: Array) -> dict[str, RegisteredImage]:
    images: dict[str, RegisteredImage] = {}
    order = np.argsort(observed[:, 0], kind="stable")
    observed = observed[order]
    for number in sorted(found.reg_image_ids()):
        image = found.images[number]
        low, high = np.searchsorted(observed[:, 0], [number, number + 1])
        mine = observed[low:high]
        pose = image.cam_from_world()
        images[image.name] = RegisteredImage(
            name=image.name,
            cam_from_world=Pose(pose.rotation.matrix(), pose.translation),
            camera_id=image.camera_id,
            observations=len(mine),
            mean_error_px=_mean_error_px(image, found.cameras[image.camera_id], mine, xyz),
        )
    return dict(sorted(images.items()))


def _mean_error_px(image: "pycolmap.Image", camera: "pycolmap.Camera", mine: Array, xyz: Array) -> float:
    if len(mine) == 0:
        return 0.0
    in_camera = xyz[mine[:, 2]] @ image.cam_from_world().rotation.matrix().T + image.cam_from_world().translation
    keypoints = image.points2D
    seen = np.array([keypoints[int(row)].xy for row in mine[:, 1]])
    projected = np.asarray(camera.img_from_cam(in_camera))
    return float(np.linalg.norm(projected - seen, axis=1).mean())
