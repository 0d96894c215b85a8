"""Patches → a mesh whose textures carry the light of the sun and the sky."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array
from reconflow.world.raycasting import Caster
from reconflow.world.surfaces import Patch

_SKY_RAYS = 16
_SUN_RAYS = 5
_SUN_SPREAD = 0.02
"""Radius of the sun in radians, a few times the real one: soft edges of shadows at the grid's resolution."""


@dataclass(frozen=True)
class Light:
    """A sun and a sky."""

    sun_direction: tuple[float, float, float]
    """Towards the sun; any length."""
    sun: tuple[float, float, float] = (1.45, 1.3, 1.05)
    sky: tuple[float, float, float] = (0.5, 0.56, 0.68)
    sky_reach_m: float = 5.0
    """What stands farther off than this takes no light of the sky away."""


@dataclass(frozen=True, eq=False)
class SceneMesh:
    """A scene to be photographed: lit, textured triangles. Metres; z points up.

    Compared and hashed by identity, so that a renderer can keep what it prepared for it.
    """

    name: str
    vertices: Array
    """(V, 3) float32."""
    triangles: Array
    """(T, 3) int32."""
    uvs: Array
    """(V, 2) float32: across and down the texture, from 0 to 1."""
    texture_of: Array
    """(T,) int32: the texture of each triangle."""
    textures: tuple[Array, ...]
    """(H, W, 3) float32 each: reflected light, linear; 1 is paper white in the sun."""
    sky_color: tuple[float, float, float] = (0.36, 0.52, 0.78)
    haze_m: float = 220.0
    """Distance at which most of a thing's colour is lost in the air."""


def build_mesh(name: str, patches: Sequence[Patch], *, light: Light, haze_m: float, seed: int) -> SceneMesh:
    """Return the mesh of some patches, with shadows and the light of the sky baked into the textures."""
    vertices = np.concatenate([patch.points.reshape(-1, 3) for patch in patches]).astype(np.float32)
    starts = np.cumsum([0, *(patch.points.shape[0] * patch.points.shape[1] for patch in patches)])
    faces = [_faces(patch) + start for patch, start in zip(patches, starts[:-1], strict=True)]
    triangles = np.concatenate(faces).astype(np.int32)
    irradiance = _irradiance(patches, Caster(vertices, triangles), light, np.random.default_rng(seed))
    return SceneMesh(
        name=name,
        vertices=vertices,
        triangles=triangles,
        uvs=np.concatenate([_uvs(patch) for patch in patches]),
        texture_of=np.repeat(np.arange(len(patches), dtype=np.int32), [len(part) for part in faces]),
        textures=tuple(_lit(patch, part) for patch, part in zip(patches, irradiance, strict=True)),
        haze_m=haze_m,
    )


def _faces(patch: Patch) -> Array:
    rows, columns = patch.points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def _uvs(patch: Patch) -> Array:
    across, down = np.meshgrid(patch.u, patch.v)
    return np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float32)


def _irradiance(patches: Sequence[Patch], caster: Caster, light: Light, rng: np.random.Generator) -> list[Array]:
    """Return the light that arrives at every grid point of each patch, (R, C, 3) float32."""
    import cv2

    sun = np.asarray(light.sun_direction, np.float64)
    sun /= np.linalg.norm(sun)
    arriving: list[Array] = []
    for patch in patches:
        shape = patch.points.shape[:2]
        normals = patch.normals().reshape(-1, 3)
        origins = patch.points.reshape(-1, 3) + 0.015 * normals
        open_sky = np.zeros(len(origins), np.float32)
        for _ in range(_SKY_RAYS):
            # A point on the unit sphere about the tip of the normal: directions weighted by the cosine.
            direction = rng.normal(size=normals.shape)
            direction = direction / np.linalg.norm(direction, axis=1, keepdims=True) + 1.001 * normals
            free = ~caster.blocked(
                origins, direction / np.linalg.norm(direction, axis=1, keepdims=True), within=light.sky_reach_m
            )
            open_sky += free * (0.65 + 0.35 * np.sign(direction[:, 2]))
        lit = np.zeros(len(origins), np.float32)
        facing = np.flatnonzero(normals @ sun > 0)
        for _ in range(_SUN_RAYS):
            direction = np.tile(sun + rng.normal(0, _SUN_SPREAD, 3), (len(facing), 1))
            lit[facing] += ~caster.blocked(origins[facing], direction, within=200.0)
        sky = cv2.GaussianBlur((open_sky / _SKY_RAYS).reshape(shape), (3, 3), 0.9)
        direct = (lit / _SUN_RAYS * np.maximum(normals @ sun, 0)).reshape(shape)
        total = sky[..., None] * np.asarray(light.sky) + direct[..., None] * np.asarray(light.sun)
        arriving.append(total.astype(np.float32))
    return arriving


def _lit(patch: Patch, irradiance: Array) -> Array:
    """Return the texture of a patch times the light, interpolated between its grid points."""
    import cv2

    height, width = patch.albedo.shape[:2]
    across = np.interp((np.arange(width) + 0.5) / width, patch.u, np.arange(len(patch.u))).astype(np.float32)
    down = np.interp((np.arange(height) + 0.5) / height, patch.v, np.arange(len(patch.v))).astype(np.float32)
    # Row by row in bands: remap takes full coordinate maps, and a large texture's would double its memory.
    bands = [
        cv2.remap(irradiance, *np.meshgrid(across, band), interpolation=cv2.INTER_LINEAR)
        for band in np.array_split(down, max(1, height // 256))
    ]
    return (patch.albedo**2.2 * np.concatenate(bands)).astype(np.float32)
