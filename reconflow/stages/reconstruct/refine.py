"""The last refinement of a model: shared intrinsics, principal points, and one adjustment to convergence."""

from collections.abc import Collection

import numpy as np
import pycolmap

from reconflow.config import ReconstructConfig
from reconflow.stages.reconstruct.intrinsics import photos_per_camera, share_intrinsics

_TOLERATED_ERROR = 1.03
"""By how much sharing may raise the mean reprojection error; intrinsics that are not equal raise it far more."""
_FEWEST_FOR_PRINCIPAL_POINT = 6
_LARGEST_SHIFT = 0.03
"""Of the long edge. Real principal points lie within a percent or two; beyond, the photos do not determine it."""
_TRUST = 0.5
"""How far to go from the centre towards the estimate, which also takes up what the camera model leaves out. Of four
scenes with known poses three gained with every step towards it and one lost; half way kept most of the gain."""
_LARGEST_ERROR_PX = 4.0
_SMALLEST_ANGLE_DEG = 1.5


def refine_model(model: pycolmap.Reconstruction, *, config: ReconstructConfig, threads: int) -> pycolmap.Reconstruction:
    """Return the model with poses, points and intrinsics adjusted together; the one given may be changed.

    Mapping leaves a good start that is not converged. Here photos without EXIF data come to share intrinsics where
    they agree and fit no worse for it, then the principal point of a camera that took many photos is released.
    """
    model = _with_agreeing_intrinsics(model, threads)
    if config.refine_principal_point:
        model = _with_principal_points(model, threads)
    observations = pycolmap.ObservationManager(model)
    observations.filter_all_points3D(_LARGEST_ERROR_PX, _SMALLEST_ANGLE_DEG)
    observations.filter_points3D_with_short_tracks(config.min_track_length)
    model.update_point_3d_errors()
    return model


def _with_agreeing_intrinsics(model: pycolmap.Reconstruction, threads: int) -> pycolmap.Reconstruction:
    shared = share_intrinsics(model)
    if shared is None:
        return _adjusted(model, threads)
    shared = _adjusted(shared, threads)
    model.update_point_3d_errors()
    alone = model.compute_mean_reprojection_error()
    if shared.compute_mean_reprojection_error() <= _TOLERATED_ERROR * alone:
        return shared
    return _adjusted(model, threads)


def _with_principal_points(model: pycolmap.Reconstruction, threads: int) -> pycolmap.Reconstruction:
    """Move the principal points of cameras with many photos, unless one would leave the place where they lie.

    A single photo says next to nothing about its principal point.
    """
    photos = photos_per_camera(model)
    few = [number for number, count in photos.items() if count < _FEWEST_FOR_PRINCIPAL_POINT]
    if len(few) == len(photos):
        return model
    released = _adjusted(pycolmap.Reconstruction(model), threads, principal_points=True, fixed=few)
    for number in sorted(set(photos) - set(few)):
        camera, start = released.cameras[number], _principal_point(model, number)
        shift = _principal_point(released, number) - start
        if np.abs(shift).max() > _LARGEST_SHIFT * max(camera.width, camera.height):
            return model
        camera.principal_point_x, camera.principal_point_y = start + _TRUST * shift
    return _adjusted(released, threads)


def _principal_point(model: pycolmap.Reconstruction, number: int) -> np.ndarray:
    camera = model.cameras[number]
    return np.array([camera.principal_point_x, camera.principal_point_y])


def _adjusted(
    model: pycolmap.Reconstruction, threads: int, *, principal_points: bool = False, fixed: Collection[int] = ()
) -> pycolmap.Reconstruction:
    """Adjust the model in place; cameras in ``fixed`` keep their intrinsics."""
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = principal_points
    options.print_summary = False
    options.ceres.solver_options.num_threads = threads
    options.ceres.solver_options.max_num_iterations = 100
    options.ceres.solver_options.function_tolerance = 1e-6
    pycolmap.ObservationManager(model).filter_observations_with_negative_depth()
    problem = pycolmap.BundleAdjustmentConfig()
    for number in sorted(model.reg_image_ids()):
        problem.add_image(number)
    for number in sorted(fixed):
        problem.set_constant_cam_intrinsics(number)
    problem.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, problem, model).solve()
    model.update_point_3d_errors()
    return model
