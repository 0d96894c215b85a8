"""Views and verified pairs → a COLMAP database."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from reconflow.core.matches import TwoViewGeometry
from reconflow.stages.reconstruct.views import View, ViewPair


def write_database(path: Path, *, views: Sequence[View], pairs: Sequence[ViewPair]) -> None:
    """Write a COLMAP database; image ``i + 1`` is view ``i``.

    Rigs and frames are left out: COLMAP makes one of each per camera and image when it reads the database.
    """
    with pycolmap.Database.open(str(path)) as database, pycolmap.DatabaseTransaction(database):
        camera_ids: dict[int, int] = {}
        for number, view in enumerate(views):
            if view.camera_id not in camera_ids:
                camera_ids[view.camera_id] = database.write_camera(view.camera.to_colmap())
            image = pycolmap.Image(name=view.name, camera_id=camera_ids[view.camera_id], image_id=number + 1)
            database.write_image(image, use_image_id=True)
            database.write_keypoints(number + 1, view.keypoints)
        for pair in pairs:
            ids = pair.first + 1, pair.second + 1
            database.write_matches(*ids, pair.geometry.inliers.astype(np.uint32))
            database.write_two_view_geometry(*ids, _to_colmap(pair.geometry))


def _to_colmap(geometry: TwoViewGeometry) -> pycolmap.TwoViewGeometry:
    made = pycolmap.TwoViewGeometry()
    made.config = int(getattr(pycolmap.TwoViewGeometryConfiguration, geometry.configuration))
    made.inlier_matches = geometry.inliers.astype(np.uint32)
    for name, matrix in (("F", geometry.fundamental), ("E", geometry.essential), ("H", geometry.homography)):
        if matrix.any():
            setattr(made, name, matrix)
    return made
