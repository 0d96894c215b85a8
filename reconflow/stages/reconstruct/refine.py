"""Last refinement of a model: one bundle adjustment to convergence, over points that deserve it."""

import pycolmap

from reconflow.config import ReconstructConfig


def refine_model(model: pycolmap.Reconstruction, *, config: ReconstructConfig, threads: int) -> None:
    """Adjust all poses, points and intrinsics together, in place."""
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = config.refine_principal_point
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.num_threads = threads
    options.ceres.solver_options.max_num_iterations = 100
    options.ceres.solver_options.function_tolerance = 1e-8
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()
