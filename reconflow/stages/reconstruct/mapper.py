"""COLMAP's incremental and global mapping of one scene."""

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from reconflow.config import ReconstructConfig
from reconflow.stages.reconstruct.database import write_database
from reconflow.stages.reconstruct.latecomers import place_latecomers
from reconflow.stages.reconstruct.merging import merge_points
from reconflow.stages.reconstruct.refine import refine_model
from reconflow.stages.reconstruct.snapshots import OnPoints, Snapshots
from reconflow.stages.reconstruct.views import View, ViewPair

MADE_WITH = f"mapping 4, pycolmap {pycolmap.__version__}"
"""Part of every model's cache key: the number goes up when equal input gives another model."""
_THREADS_PAY_FROM = 500_000
"""Residuals, of some 170 photos. Below, two threads are no faster than one, and COLMAP's samples come as they do."""


@dataclass(frozen=True)
class Reconstructed:
    """What mapping a scene came to."""

    models: tuple[Path, ...]
    """Folders of COLMAP binary files, the model with most photos first."""
    unregistered: dict[str, str]
    """Photos in no model, with the reason."""


def reconstruct(
    views: Sequence[View],
    *,
    pairs: Sequence[ViewPair],
    config: ReconstructConfig,
    threads: int,
    out: Path,
    on_registered: Callable[[int], None] = lambda _: None,
    on_points: OnPoints | None = None,
) -> Reconstructed:
    """Map a scene and write its models to ``out/model0``, ``out/model1``, …

    The result repeats for equal input and seed: scenes of up to some 170 photos are mapped in one thread, whatever
    ``threads`` says. Larger ones repeat with one thread only; with more COLMAP's samples and sums come in the order of
    the threads, and models differ by a fraction of a pixel. Colours of points are the mean of the colours at their
    keypoints, so no photo is read again.

    Parameters
    ----------
    views : sequence of View
        The photos of the scene.
    pairs : sequence of ViewPair
        Its verified pairs.
    config : ReconstructConfig
        Which mapper and its limits.
    threads : int
        Cores to use at most.
    out : Path
        An existing folder.
    on_registered : callable
        Hears how many photos are placed by now.
    on_points : callable, optional
        Hears ten times of the points that there are by now, in a thread of its own; changes nothing in the models.
        Global mapping has none before its end.

    """
    views, pairs = merge_points(views, pairs, cells=config.point_cells)
    threads = threads if _residuals(views, pairs) >= _THREADS_PAY_FROM else 1
    work = out / "colmap"
    work.mkdir()
    database = work / "database.db"
    write_database(database, views=views, pairs=pairs)

    def tell(placed: int) -> None:
        on_registered(min(placed, len(views)))  # a model that is given up was counted too

    if config.mapper == "global":
        found = _map_globally(database, work, config, threads, tell)
    else:
        found = _map_incrementally(database, work, config, threads, tell, views=views, on_points=on_points)
    models = [model for model in found if model.num_reg_images() >= config.min_model_images]
    models.sort(key=_largest_first)
    if config.mapper == "incremental":
        options = incremental_options(config, threads)
        if place_latecomers(models, _unplaced(models, len(views)), database=database, options=options):
            models.sort(key=_largest_first)
            tell(len(views) - len(_unplaced(models, len(views))))
    folders: list[Path] = []
    for number, model in enumerate(models):
        if config.final_refinement:
            model = refine_model(model, config=config, threads=threads)
        _paint(model, views)
        folder = out / f"model{number}"
        folder.mkdir()
        model.write_binary(str(folder))
        folders.append(folder)
    shutil.rmtree(work)
    return Reconstructed(tuple(folders), _why_unregistered(models, views, pairs, config))


def _residuals(views: Sequence[View], pairs: Sequence[ViewPair]) -> int:
    """Return how many residuals an adjustment of the whole scene may have: two for each keypoint with a match."""
    matched = [np.zeros(len(view.keypoints), bool) for view in views]
    for pair in pairs:
        matched[pair.first][pair.geometry.inliers[:, 0]] = True
        matched[pair.second][pair.geometry.inliers[:, 1]] = True
    return 2 * sum(int(keypoints.sum()) for keypoints in matched)


def _largest_first(model: pycolmap.Reconstruction) -> tuple[int, int, list[int]]:
    return -model.num_reg_images(), -model.num_points3D(), sorted(model.reg_image_ids())


def _unplaced(models: Sequence[pycolmap.Reconstruction], views: int) -> list[int]:
    placed = {number for model in models for number in model.reg_image_ids()}
    return [number for number in range(1, views + 1) if number not in placed]


def _map_incrementally(
    database: Path,
    work: Path,
    config: ReconstructConfig,
    threads: int,
    on_registered: Callable[[int], None],
    *,
    views: Sequence[View],
    on_points: OnPoints | None,
) -> list[pycolmap.Reconstruction]:
    options = incremental_options(config, threads)
    placed = 0

    def count(fresh: int) -> None:
        nonlocal placed
        placed += fresh
        on_registered(placed)
        if snapshots is not None:
            snapshots.look()

    with contextlib.ExitStack() as stack:
        snapshots = None
        if on_points is not None:
            (work / "snapshots").mkdir()
            snapshots = stack.enter_context(Snapshots(work / "snapshots", views, on_points))
            snapshots.ask(options)
        found = pycolmap.incremental_mapping(
            str(database),
            str(work),
            str(work),
            options,
            initial_image_pair_callback=lambda: count(2),
            next_image_callback=lambda: count(1),
        )
    return [model for _, model in sorted(found.items())]


def _map_globally(
    database: Path, work: Path, config: ReconstructConfig, threads: int, on_registered: Callable[[int], None]
) -> list[pycolmap.Reconstruction]:
    calibration = pycolmap.ViewGraphCalibrationOptions()
    calibration.random_seed = config.seed
    pycolmap.calibrate_view_graph(str(database), calibration)
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = threads
    options.random_seed = config.seed
    found = pycolmap.global_mapping(str(database), str(work), str(work), options)
    on_registered(sum(model.num_reg_images() for model in found.values()))
    return [model for _, model in sorted(found.items())]


def incremental_options(config: ReconstructConfig, threads: int) -> pycolmap.IncrementalPipelineOptions:
    """Return COLMAP's options for a configuration."""
    options = pycolmap.IncrementalPipelineOptions()
    options.min_num_matches = 10  # pairs come verified; COLMAP's 15 would drop what was accepted
    options.min_model_size = config.min_model_images
    options.max_num_models = config.max_models
    options.num_threads = threads
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = config.seed
    options.extract_colors = False
    options.ba_refine_principal_point = False
    options.mapper.num_threads = threads
    options.mapper.init_min_num_inliers = config.init_min_inliers
    options.mapper.abs_pose_min_num_inliers = config.abs_pose_min_inliers
    # The model is refined to convergence once at the end; on the way there a good start is enough. COLMAP's own
    # values take twice the time and end at the same poses.
    options.ba_local_function_tolerance = 1e-3
    options.ba_local_max_num_iterations = 10
    options.ba_local_max_refinements = 1
    options.ba_global_function_tolerance = 1e-4
    options.ba_global_max_num_iterations = 20
    options.ba_global_max_refinements = 2
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.4
    return options


def _paint(model: pycolmap.Reconstruction, views: Sequence[View]) -> None:
    for point in model.points3D.values():
        colors = [views[e.image_id - 1].colors[e.point2D_idx] for e in point.track.elements]
        point.color = np.mean(colors, axis=0).round().astype(np.uint8)


def _why_unregistered(
    models: Sequence[pycolmap.Reconstruction],
    views: Sequence[View],
    pairs: Sequence[ViewPair],
    config: ReconstructConfig,
) -> dict[str, str]:
    placed = {model.images[number].name for model in models for number in model.reg_image_ids()}
    shared: dict[str, int] = {}
    for pair in pairs:
        a, b = views[pair.first].name, views[pair.second].name
        for name, other in ((a, b), (b, a)):
            if name not in placed and other in placed:
                shared[name] = shared.get(name, 0) + len(pair.geometry)
    reasons: dict[str, str] = {}
    for view in views:
        if view.name in placed:
            continue
        count = shared.get(view.name, 0)
        if not models:
            reasons[view.name] = "no two photos of its scene make a stable start for a model"
        elif count == 0:
            reasons[view.name] = "no verified match with a placed photo"
        elif count < config.abs_pose_min_inliers:
            reasons[view.name] = f"{count} matches with placed photos, {config.abs_pose_min_inliers} needed"
        else:
            reasons[view.name] = f"its {count} matches with placed photos agree on no position"
    return reasons
