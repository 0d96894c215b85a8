"""How well do the true poses fit the photos, compared with the poses found? Where they fit worse, a score cannot tell.

    truth_fit.py DATA/dev/door RESULT [DATA/dev/et RESULT …]

Each RESULT is a folder that ``reconflow run`` wrote for that set. The tracks of its models are kept; the poses are
replaced by the true ones and held, while points and intrinsics (principal points and distortion too) are adjusted
to fit them as well as they can. What is printed is the mean reprojection error of both.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pycolmap

from reconflow.core.cameras import Pose
from reconflow.core.submission import OUTLIERS, read_poses
from reconflow.evaluation.similarity import align_similarity


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets_and_results", type=Path, nargs="+", metavar="SET RESULT")
    arguments = parser.parse_args()
    places: list[Path] = arguments.sets_and_results
    print(f"{'set':<14}{'model':<18}{'found':>9}{'true':>9}{'ratio':>8}")
    for data, result in zip(places[::2], places[1::2], strict=True):
        truth = {
            row.image: row.cam_from_world
            for row in read_poses(data / "truth.csv")
            if row.scene != OUTLIERS and row.cam_from_world is not None
        }
        for name, found_px, true_px in _compared(result, truth):
            print(f"{data.name:<14}{name:<18}{found_px:>6.3f} px{true_px:>6.3f} px{true_px / found_px:>8.2f}")


def _compared(result: Path, truth: dict[str, Pose]) -> Iterator[tuple[str, float, float]]:
    for folder in sorted((result / "models").iterdir()):
        model = pycolmap.Reconstruction(str(folder))
        names = {model.images[number].name for number in model.reg_image_ids()}
        if names <= truth.keys():
            found_px = model.compute_mean_reprojection_error()
            yield folder.name, found_px, _error_with(model, truth)


def _error_with(model: pycolmap.Reconstruction, truth: dict[str, Pose]) -> float:
    """Return the mean reprojection error in pixels once the poses are the true ones; the model is changed."""
    images = [model.images[number] for number in sorted(model.reg_image_ids())]
    found = np.array([image.projection_center() for image in images])
    true = np.array([truth[image.name].center_in_world for image in images])
    similarity = align_similarity(found, true)
    if similarity is None:
        raise SystemExit("the camera centres of the model lie on one line: nothing to compare")
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
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = True
    options.print_summary = False
    options.ceres.solver_options.max_num_iterations = 300
    pycolmap.create_default_bundle_adjuster(options, problem, model).solve()
    model.update_point_3d_errors()
    return model.compute_mean_reprojection_error()


if __name__ == "__main__":
    main()
