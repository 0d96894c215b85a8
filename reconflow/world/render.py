"""Scenes → photos: ray casting, filtered textures, haze, sky, lens and sensor."""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera, Pose
from reconflow.world.meshes import SceneMesh
from reconflow.world.projection import rays
from reconflow.world.raycasting import Caster

_SUBPIXELS = np.array([[-0.125, -0.375], [0.375, -0.125], [-0.375, 0.125], [0.125, 0.375]])
"""Where the further rays of a pixel on an edge go: a rotated grid."""
_EDGE_DEPTH = 0.04
"""Relative step in depth between neighbours that counts as an edge."""
_WHITE, _LEVELS = 4.0, 8192
"""The light that surely saturates the sensor, and the entries of the tone curve's table up to there."""


def render(scene: SceneMesh, camera: Camera, pose: Pose, *, seed: int) -> Array:
    """Return a photo of a scene, (H, W, 3) uint8.

    One ray meets the middle of each pixel, four more those on edges; textures are read from a pyramid at the size
    that a pixel covers. The camera's distortion is exact. ``seed`` decides exposure, white balance, vignetting and
    noise.

    Raises
    ------
    DependencyError
        If Open3D or one of its system libraries is missing.

    """
    prepared = _prepared(scene)
    light = _radiance(prepared, camera, pose)
    return _developed(light, np.random.default_rng(seed))


def depth_map(scene: SceneMesh, camera: Camera, pose: Pose) -> Array:
    """Return the depth along the optical axis at each pixel's middle, (H, W) float32 in metres; infinite in the sky."""
    directions = _in_world(_camera_rays(camera), pose)
    distance, _, _ = _prepared(scene).caster.hits(pose.center_in_world, directions)
    return distance.reshape(camera.height, camera.width)


@dataclass(frozen=True)
class _Prepared:
    """A scene with what rendering needs beyond it."""

    scene: SceneMesh
    caster: Caster
    pyramids: tuple[tuple[Array, ...], ...]
    facts: Array
    """(T, 10) float32, per triangle: place in the texture at the first corner (2), steps from there to the others
    (2 + 2), unit normal (3), texels of the finest level along a metre (1)."""


@lru_cache(maxsize=1)
def _prepared(scene: SceneMesh) -> _Prepared:
    corners = scene.vertices[scene.triangles].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    sizes = np.array([texture.shape[1::-1] for texture in scene.textures])[scene.texture_of]
    uvs = scene.uvs[scene.triangles]
    uvs[:, 1:] -= uvs[:, :1]
    texels = np.abs(np.linalg.det(uvs[:, 1:].astype(np.float64))) * sizes.prod(axis=1)
    facts = [uvs.reshape(-1, 6), normals / area[:, None], np.sqrt(texels / area)[:, None]]
    return _Prepared(
        scene=scene,
        caster=Caster(scene.vertices, scene.triangles),
        pyramids=tuple(_pyramid(texture) for texture in scene.textures),
        facts=np.hstack(facts).astype(np.float32),
    )


def _pyramid(texture: Array) -> tuple[Array, ...]:
    import cv2

    levels = [texture]
    while min(levels[-1].shape[:2]) > 8:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA))
    return tuple(levels)


@lru_cache(maxsize=2)
def _camera_rays(camera: Camera) -> Array:
    """Return the rays through the middles of all pixels, (H·W, 3) float32, row by row."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    directions = rays(camera, np.column_stack([x.ravel(), y.ravel()])).astype(np.float32)
    directions.flags.writeable = False
    return directions


def _radiance(prepared: _Prepared, camera: Camera, pose: Pose) -> Array:
    """Return the linear light that arrives at each pixel, (H, W, 3) float32."""
    directions = _camera_rays(camera)
    light, depth, texture = _shaded(prepared, camera, pose, directions)
    shape = (camera.height, camera.width)
    edges = np.flatnonzero(_edges(depth.reshape(shape), texture.reshape(shape)))
    middles = np.column_stack([edges % camera.width, edges // camera.width]) + 0.5
    around = rays(camera, (middles[None] + _SUBPIXELS[:, None]).reshape(-1, 2)).astype(np.float32)
    further = _shaded(prepared, camera, pose, around)[0].reshape(len(_SUBPIXELS), -1, 3)
    light[edges] = (light[edges] + further.sum(axis=0)) / (1 + len(_SUBPIXELS))
    return light.reshape(*shape, 3)


def _edges(depth: Array, texture: Array) -> Array:
    """Return the pixels whose neighbours show another patch or another depth, (H, W) bool."""
    edges = np.zeros(depth.shape, bool)
    near = 1 / np.minimum(depth, 1e6)
    for axis in (0, 1):
        differs = np.diff(texture, axis=axis) != 0
        differs |= np.abs(np.diff(near, axis=axis)) > _EDGE_DEPTH * np.minimum(*_neighbours(near, axis))
        first, second = _neighbours(edges, axis)
        first |= differs
        second |= differs
    return edges


def _neighbours(raster: Array, axis: int) -> tuple[Array, Array]:
    return (raster[:-1], raster[1:]) if axis == 0 else (raster[:, :-1], raster[:, 1:])


def _shaded(prepared: _Prepared, camera: Camera, pose: Pose, directions: Array) -> tuple[Array, Array, Array]:
    """Return light (N, 3), depth (N,) and texture (N,), −1 in the sky, of what (N, 3) camera rays meet."""
    scene = prepared.scene
    in_world = _in_world(directions, pose)
    depth, triangle, weights = prepared.caster.hits(pose.center_in_world, in_world)
    light = np.empty_like(in_world)
    texture = np.full(len(depth), -1, np.int32)
    missed = triangle < 0
    light[missed] = _sky(scene, in_world[missed])
    seen = np.flatnonzero(~missed)
    # np.take, because it copies rows several times as fast as indexing does, and this is most of a photo's time.
    hit = np.take(triangle, seen)
    weight, toward, near = np.take(weights, seen, axis=0), np.take(in_world, seen, axis=0), np.take(depth, seen)
    facts = np.take(prepared.facts, hit, axis=0)
    texture[seen] = np.take(scene.texture_of, hit)
    uv = np.empty_like(weight)
    for axis in (0, 1):
        uv[:, axis] = facts[:, axis] + facts[:, 2 + axis] * weight[:, 0] + facts[:, 4 + axis] * weight[:, 1]
    length = np.sqrt(np.einsum("ni,ni->n", toward, toward))
    cosine = np.abs(np.einsum("ni,ni->n", facts[:, 6:9], toward)) / length
    # A pixel covers depth / f across and that over the cosine along: the geometric mean of the two.
    covered = near / np.float32(camera.focal_px) / np.sqrt(np.maximum(cosine, 0.08))
    fineness = np.log2(np.maximum(covered * facts[:, 9], 1e-6))
    color = _textured(prepared, texture[seen], uv, fineness)
    clear = np.exp(-np.square(near * length / np.float32(scene.haze_m)))[:, None]
    horizon = _horizon(scene)
    color -= horizon
    color *= clear
    color += horizon
    light[seen] = color
    return light, depth, texture


def _in_world(directions: Array, pose: Pose) -> Array:
    # Not `@`: BLAS would wake all its threads for three columns, and they cost more than the product.
    return np.einsum("ni,ij->nj", directions, pose.rotation.astype(np.float32))


def _textured(prepared: _Prepared, texture: Array, uv: Array, fineness: Array) -> Array:
    """Return the texture at (N, 2) places, between the two pyramid levels about ``fineness``."""
    # Pixels in order of texture and level: each stretch of equals is one look-up.
    level = np.clip(fineness, 0, 15)
    key = (texture * 16 + level.astype(np.int32)).astype(np.uint16)
    order = np.argsort(key, kind="stable")
    key, level, uv = np.take(key, order), np.take(level, order), np.take(uv, order, axis=0)
    sorted_color = np.empty((len(uv), 3), np.float32)
    bounds = [*np.flatnonzero(np.diff(key.astype(np.int32), prepend=-1)), len(key)]
    for start, stop in itertools.pairwise(bounds):
        pyramid = prepared.pyramids[key[start] // 16]
        below = min(int(key[start] % 16), len(pyramid) - 1)
        above = min(below + 1, len(pyramid) - 1)
        share = np.clip(level[start:stop] - below, 0, 1)[:, None]
        fine, coarse = (_sampled(pyramid[k], uv[start:stop]) for k in (below, above))
        sorted_color[start:stop] = fine + (coarse - fine) * share
    color = np.empty_like(sorted_color)
    color[order] = sorted_color
    return color


def _sampled(raster: Array, uv: Array) -> Array:
    """Return bilinear values of a raster at (N, 2) places from 0 to 1."""
    import cv2

    count, width = len(uv), min(len(uv), 4096)
    # OpenCV takes maps of fewer than 32768 rows and columns: the list is folded into lines.
    places = np.zeros((2, -(-count // width) * width), np.float32)
    places[:, :count] = uv.T * np.array(raster.shape[1::-1], np.float32)[:, None] - 0.5
    x, y = places.reshape(2, -1, width)
    values = cv2.remap(raster, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(-1, 3)[:count]


def _horizon(scene: SceneMesh) -> Array:
    return 0.55 * np.asarray(scene.sky_color, np.float32) + np.float32(0.42)


def _sky(scene: SceneMesh, directions: Array) -> Array:
    """Return the light of the sky in (N, 3) world directions: pale at the horizon, deep overhead, faint clouds."""
    up = directions[:, 2] / np.linalg.norm(directions, axis=1)
    height = np.clip(up, 0, 1)[:, None]
    plane = directions[:, :2] / np.maximum(directions[:, 2], 0.05)[:, None]
    cloud = np.zeros(len(directions), np.float32)
    for k, turn in enumerate((0.3, 1.7, 2.9, 4.4)):
        across = plane[:, 0] * np.float32(np.cos(turn)) + plane[:, 1] * np.float32(np.sin(turn))
        cloud += np.sin(across * (0.5 + 0.45 * k) + 3.1 * k + 1.3 * np.sin(0.7 * plane[:, k % 2] + k)) / (1 + 0.5 * k)
    veil = (np.clip(0.25 * cloud, 0, 0.5) * np.clip(6 * up, 0, 1))[:, None]
    zenith = np.asarray(scene.sky_color, np.float32)
    clear = _horizon(scene) + (zenith - _horizon(scene)) * np.sqrt(height)
    return (clear + (np.float32(0.97) - clear) * veil).astype(np.float32)


def _developed(light: Array, rng: np.random.Generator) -> Array:
    """Return what a camera makes of linear light: exposure, vignetting, sensor noise, a tone curve, 8 bits."""
    height, width = light.shape[:2]
    balance = np.exp(rng.normal(0, 0.13)) * np.exp(rng.normal(0, 0.015, 3))
    y, x = np.ogrid[:height, :width]
    radius = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / (width**2 + height**2) * 4
    falloff = 1 - rng.uniform(0.08, 0.25) * radius
    exposed = light * (falloff[..., None] * balance).astype(np.float32)
    # Photon noise grows with the root of the light; read-out noise is there in the dark too.
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    exposed += grain * np.sqrt(np.maximum(exposed, 0) * 6e-5 + 4e-6)
    # A table is several times as fast as a power per pixel; its steps are finer than those of 8 bits in the dark too.
    levels = np.linspace(0, 1, _LEVELS)
    square = levels**2 * _WHITE
    toned = 1.25 * square * (1 + 0.12 * square) / (1 + 0.55 * square)
    table = np.rint(np.clip(toned, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    index = np.sqrt(np.clip(exposed, 0, _WHITE) / np.float32(_WHITE)) * np.float32(_LEVELS - 1)
    return table[index.astype(np.uint16)]
