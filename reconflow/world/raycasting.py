"""Open3D's ray casting, with plain arrays on both sides."""

from typing import Any

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.open3d_library import load_open3d


class Caster:
    """Triangles that rays can be shot at.

    Raises
    ------
    DependencyError
        If Open3D cannot be imported, with what to install.

    """

    def __init__(self, vertices: Array, triangles: Array):
        open3d = load_open3d()
        self._tensor: Any = open3d.core.Tensor
        self._scene: Any = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._tensor(np.ascontiguousarray(vertices, np.float32)),
            self._tensor(np.ascontiguousarray(triangles, np.uint32)),
        )

    def hits(self, origins: Array, directions: Array) -> tuple[Array, Array, Array]:
        """Return what (N, 3) rays meet first: distance (N,), triangle (N,) int64 and barycentric (N, 2).

        The distance counts in lengths of the direction; a ray that meets nothing has an infinite one and triangle −1.
        """
        cast = self._scene.cast_rays(self._rays(origins, directions))
        triangle = cast["primitive_ids"].numpy()
        missed = triangle == np.uint32(0xFFFFFFFF)
        ids = triangle.astype(np.int64)
        ids[missed] = -1
        return cast["t_hit"].numpy(), ids, cast["primitive_uvs"].numpy()

    def blocked(self, origins: Array, directions: Array, *, within: float) -> Array:
        """Return whether anything stands within a distance along (N, 3) rays, (N,) bool."""
        return self._scene.test_occlusions(self._rays(origins, directions), tnear=0.0, tfar=within).numpy()

    def _rays(self, origins: Array, directions: Array) -> Any:
        rays = np.empty((len(directions), 6), np.float32)
        rays[:, :3] = origins
        rays[:, 3:] = directions
        return self._tensor(rays)
