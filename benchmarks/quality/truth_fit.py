"""How well do the true poses fit the photos, compared with the poses found? Where they fit worse, a score cannot tell.

    truth_fit.py DATA/dev/door RESULT [DATA/dev/et RESULT …]

Each RESULT is a folder that ``reconflow run`` wrote for that set. The tracks of its models are kept; the poses are
replaced by the true ones and held, while points and intrinsics (principal points and distortion too) are adjusted
to fit them as well as they can: once with the cameras of the model, and once with a camera for each photo.

Then the poses are free, and the principal point is held: as published with the truth, and half a turn from there,
where it lies when a photo was turned the other way than its camera's calibration. All figures are mean reprojection
errors.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from reconflow.core.cameras import Pose
from reconflow.core.submission import OUTLIERS, read_poses
from reconflow.evaluation.similarity import align_similarity


@dataclass(frozen=True)
class Fit:
    """Mean reprojection errors of one model, in pixels."""

    found: float
    true: float
    true_own_cameras: float
    published_center: float
    turned_center: float


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets_and_results", type=Path, nargs="+", metavar="SET RESULT")
    arguments = parser.parse_args()
    places: list[Path] = arguments.sets_and_results
    print(f"{'':<32}{'poses':>8}{'true':>8}{'true poses,':>15}{'principal point':>20}")
    print(f"{'set':<14}{'model':<18}{'found':>8}{'poses':>8}{'own cameras':>15}{'published':>12}{'turned':>8}")
    for data, result in zip(places[::2], places[1::2], strict=True):
        for name, fit in _fits(data, result):
            print(
                f"{data.name:<14}{name:<18}{fit.found:>8.3f}{fit.true:>8.3f}{fit.true_own_cameras:>15.3f}"
                f"{fit.published_center:>12.4f}{fit.turned_center:>8.4f}"
            )


def _fits(data: Path, result: Path) -> Iterator[tuple[str, Fit]]:
    truth = {
        row.image: row.cam_from_world
        for row in read_poses(data / "truth.csv")
        if row.scene != OUTLIERS and row.cam_from_world is not None
    }
    centers = _published_centers(data / "cameras.csv")
    for folder in sorted((result / "models").iterdir()):
        model = pycolmap.Reconstruction(str(folder))
        names = {model.images[number].name for number in model.reg_image_ids()}
        if names <= truth.keys():
            yield (
                folder.name,
                Fit(
                    found=model.compute_mean_reprojection_error(),
                    true=_error_with_poses(pycolmap.Reconstruction(model), truth),
                    true_own_cameras=_error_with_poses(_with_own_cameras(model), truth),
                    published_center=_error_with_center(pycolmap.Reconstruction(model), centers, turned=False),
                    turned_center=_error_with_center(pycolmap.Reconstruction(model), centers, turned=True),
                ),
            )


def _published_centers(path: Path) -> dict[str, tuple[float, float]]:
    with path.open(newline="") as file:
        return {row["image"]: (float(row["cx"]), float(row["cy"])) for row in csv.DictReader(file)}


def _with_own_cameras(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """Build the model anew with a camera for each photo; camera and photo have the same number."""
    made = pycolmap.Reconstruction()
    for number in sorted(model.reg_image_ids()):
        image = model.images[number]
        camera = pycolmap.Camera(model.cameras[image.camera_id].todict())
        camera.camera_id = number
        made.add_camera_with_trivial_rig(camera)
        keypoints = np.array([point.xy for point in image.points2D]).reshape(-1, 2)
        copy = pycolmap.Image(name=image.name, keypoints=keypoints, camera_id=number, image_id=number)
        made.add_image_with_trivial_frame(copy, image.cam_from_world())
    for _, point in sorted(model.points3D.items()):
        made.add_point3D(point.xyz, point.track, point.color)
    return made


def _error_with_poses(model: pycolmap.Reconstruction, truth: dict[str, Pose]) -> float:
    """Return the error once the poses are the true ones; the model is changed."""
    images = [model.images[number] for number in sorted(model.reg_image_ids())]
    found = np.array([image.projection_center() for image in images])
    true = np.array([truth[image.name].center_in_world for image in images])
    try:
        similarity = align_similarity(found, true)
    except ValueError as error:
        raise SystemExit(f"the model's camera centres cannot be laid over the true ones: {error}") from error
    rotation = pycolmap.Rotation3d(similarity.rotation)
    model.transform(pycolmap.Sim3d(similarity.scale, rotation, similarity.translation))
    problem = pycolmap.BundleAdjustmentConfig()
    for image in images:
        pose = truth[image.name]
        model.frames[image.frame_id].rig_from_world = pycolmap.Rigid3d(
            pycolmap.Rotation3d(pose.rotation), pose.translation
        )
        problem.add_image(image.image_id)
        problem.set_constant_rig_from_world_pose(image.frame_id)
    return _adjusted_error(model, problem, principal_points=True)


def _error_with_center(
    model: pycolmap.Reconstruction, centers: dict[str, tuple[float, float]], *, turned: bool
) -> float:
    """Return the error once the principal points are the published ones; the model is changed."""
    problem = pycolmap.BundleAdjustmentConfig()
    for number in sorted(model.reg_image_ids()):
        image = model.images[number]
        camera = model.cameras[image.camera_id]
        x, y = centers[image.name]
        camera.principal_point_x = camera.width - x if turned else x
        camera.principal_point_y = camera.height - y if turned else y
        problem.add_image(number)
    problem.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    return _adjusted_error(model, problem, principal_points=False)


def _adjusted_error(
    model: pycolmap.Reconstruction, problem: pycolmap.BundleAdjustmentConfig, *, principal_points: bool
) -> float:
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = principal_points
    options.print_summary = False
    options.ceres.solver_options.max_num_iterations = 300
    pycolmap.create_default_bundle_adjuster(options, problem, model).solve()
    model.update_point_3d_errors()
    return model.compute_mean_reprojection_error()


if __name__ == "__main__":
    main()
