import numpy as np
import pycolmap

from reconflow.config import ReconstructConfig
from reconflow.stages.reconstruct import View, ViewPair
from reconflow.stages.reconstruct.database import write_database
from reconflow.stages.reconstruct.latecomers import place_latecomers
from reconflow.stages.reconstruct.mapper import incremental_options
from reconflow.world.correspondences import synthetic_world

LATE = 6
"""Image id of the photo that comes late."""
OPTIONS = incremental_options(ReconstructConfig(), 1)


def mapped(world, out, *, late_has_pairs):
    """Map all photos, then take the late one out again; return model, database and where the photo was."""
    views = [
        View(name, 0, camera, features.keypoints, features.colors)
        for name, camera, features in zip(world.names, world.cameras, world.features, strict=True)
    ]
    pairs = [ViewPair(i, j, world.geometry(i, j)) for i, j in sorted(world.matches)]
    write_database(out / "all.db", views=views, pairs=pairs)
    model = pycolmap.incremental_mapping(str(out / "all.db"), str(out), str(out), OPTIONS)[0]
    was_at = model.images[LATE].projection_center()
    model.deregister_frame(model.images[LATE].frame_id)
    kept = [pair for pair in pairs if late_has_pairs or LATE - 1 not in (pair.first, pair.second)]
    write_database(out / "late.db", views=views, pairs=kept)
    return model, out / "late.db", was_at


def size(model):
    points = np.array([point.xyz for point in model.points3D.values()])
    return float(np.linalg.norm(points.std(axis=0)))


def test_a_photo_that_failed_early_finds_its_place_in_the_whole_model(tmp_path):
    model, database, was_at = mapped(synthetic_world(cameras=6, points=400, seed=1), tmp_path, late_has_pairs=True)
    assert place_latecomers([model], [LATE], database=database, options=OPTIONS) == [LATE]
    assert np.linalg.norm(model.images[LATE].projection_center() - was_at) < 0.02 * size(model)


def test_matches_that_are_no_points_yet_place_a_photo_too(tmp_path):
    model, database, was_at = mapped(synthetic_world(cameras=6, points=400, seed=1), tmp_path, late_has_pairs=True)
    matched = placed_keypoints_it_matches(database)
    for number, point in list(model.points3D.items()):
        if any((element.image_id, element.point2D_idx) in matched for element in point.track.elements):
            model.delete_point3D(number)
    assert place_latecomers([model], [LATE], database=database, options=OPTIONS) == [LATE]
    assert np.linalg.norm(model.images[LATE].projection_center() - was_at) < 0.05 * size(model)


def test_a_model_that_takes_no_photo_stays_as_it_is(tmp_path):
    model, database, _ = mapped(synthetic_world(cameras=6, points=400, seed=1), tmp_path, late_has_pairs=False)
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    model.write_binary(str(tmp_path / "before"))
    assert place_latecomers([model], [LATE], database=database, options=OPTIONS) == []
    model.write_binary(str(tmp_path / "after"))
    for file in sorted((tmp_path / "before").iterdir()):
        assert (tmp_path / "after" / file.name).read_bytes() == file.read_bytes(), file.name


def placed_keypoints_it_matches(database):
    """Return (image id, keypoint) of what the late photo matches in the others."""
    with pycolmap.Database.open(str(database)) as opened:
        return {(other, int(row)) for other in range(1, LATE) for _, row in opened.read_matches(LATE, other)}
