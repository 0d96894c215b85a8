"""A slope of grass and rock with boulders, a footpath and a stone hut, as a drone sees it."""

from functools import partial

import numpy as np

from reconflow.core.arrays import Array
from reconflow.world import textures
from reconflow.world.surfaces import Material, Patch, block, boulder, bush, sheet

_SIDE, _CORE = 96.0, 42.0
_DENSITY = 40.0
_GREENS = [(0.3, 0.37, 0.16), (0.42, 0.47, 0.21), (0.52, 0.5, 0.28), (0.36, 0.44, 0.2)]


def boulders_patches(rng: np.random.Generator) -> list[Patch]:
    """Return the sheets of the scene; the land is a square about the origin, the hut stands on a terrace."""
    land = _Land(rng)
    patches = [_terrain(rng, land)]
    kinds: list[Material] = [
        partial(textures.rock, rng, color=(0.57, 0.54, 0.5)),
        partial(textures.rock, rng, color=(0.6, 0.52, 0.43)),
    ]
    for k in range(70):
        x, y = (float(value) for value in rng.uniform(-19, 19, 2))
        if abs(x - 5) < 4.5 and abs(y - 4) < 4.5:
            continue
        size = min(float(np.exp(rng.normal(-0.25, 0.55))), 1.7) * rng.uniform(0.7, 1.2, 3)
        center = (x, y, land.height_at(x, y) + 0.25 * float(size[2]))
        patches.append(
            boulder(
                rng,
                kinds[k % 2],
                center=center,
                size=(size[0], size[1], size[2]),
                texels_per_m=_DENSITY * 1.3,
                resolution=36,
            )
        )
    leaves: Material = partial(textures.foliage, rng, colors=_GREENS, leaf_px=6.0)
    for _ in range(30):
        x, y = (float(value) for value in rng.uniform(-18, 18, 2))
        size = float(rng.uniform(0.4, 0.9))
        if abs(x - 5) > 4 or abs(y - 4) > 4:
            patches.append(bush(rng, (x, y, land.height_at(x, y) + 0.5 * size), size, leaves, texels_per_m=_DENSITY))
    return [*patches, *_hut(rng, land.height_at(5.0, 4.0))]


class _Land:
    """Heights as a sum of waves, so that they are known anywhere."""

    def __init__(self, rng: np.random.Generator):
        lengths = np.array([46, 30, 21, 15, 11, 8, 6, 4.4, 3.2, 2.4, 1.8])
        turn = rng.uniform(0, 2 * np.pi, len(lengths))
        self._waves = 2 * np.pi / lengths * np.stack([np.cos(turn), np.sin(turn)])
        self._phase = rng.uniform(0, 2 * np.pi, len(lengths))
        self._size = 0.02 * lengths**0.9

    def heights(self, x: Array, y: Array) -> Array:
        """Return heights in metres at (R, C) places."""
        across = x[..., None] * self._waves[0] + y[..., None] * self._waves[1] + self._phase
        hills = (np.sin(across + 0.5 * np.sin(across[..., :1])) * self._size).sum(axis=-1)
        terrace = np.exp(-(((x - 5) / 5) ** 4) - ((y - 4) / 5) ** 4)
        return (hills + 0.02 * x) * (1 - terrace) + 0.4 * terrace

    def height_at(self, x: float, y: float) -> float:
        """Return the height at one place."""
        return float(self.heights(np.array([[x]]), np.array([[y]]))[0, 0])


def _terrain(rng: np.random.Generator, land: _Land) -> Patch:
    # Most grid lines, and with them most of the texture, lie where the drone flies.
    side = np.interp(np.linspace(0, 1, 320), [0, 0.12, 0.88, 1], [-_SIDE / 2, -_CORE / 2, _CORE / 2, _SIDE / 2])
    x, y = np.meshgrid(side, side[::-1])
    z = land.heights(x, y)

    def cover(height: int, width: int) -> Array:
        import cv2

        grass = textures.grass(rng, height, width, colors=_GREENS, tuft_px=4.0)
        dry = textures.stone(rng, height, width, (0.62, 0.55, 0.38))
        grass = textures.mixed(grass, dry, 0.1 + 0.35 * textures.fractal_noise(rng, height, width, largest_px=400))
        scree = textures.cobbles(rng, height, width, stone_px=15.0, colors=[(0.6, 0.56, 0.5), (0.5, 0.47, 0.44)])
        cliff = textures.rock(rng, height, width, (0.56, 0.52, 0.47))
        slope = np.hypot(*np.gradient(z, -side, side))
        fields = [slope, x, y]
        slope, east, north = (
            cv2.resize(field.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) for field in fields
        )
        rough = textures.fractal_noise(rng, height, width, largest_px=300)
        ground = textures.mixed(grass, scree, (slope + 0.09 * rough - 0.36) * 9)
        ground = textures.mixed(ground, cliff, (slope + 0.06 * rough - 0.48) * 9)
        track = np.abs(north - 3.5 * np.sin(east / 7) - 0.35 * east + 4.5) - 0.55 - 0.15 * rough
        trodden = textures.stone(rng, height, width, (0.72, 0.62, 0.47))
        return textures.mixed(ground, trodden, np.clip(-track * 4, 0, 0.92))

    size = round(_CORE / 0.76 * _DENSITY * 0.85)
    even = np.linspace(0, 1, len(side))
    return Patch(np.dstack([x, y, z]), even, even, cover(size, size))


def _hut(rng: np.random.Generator, floor: float) -> list[Patch]:
    wall: Material = partial(
        textures.masonry, rng, course_px=14.0, colors=[(0.6, 0.54, 0.46), (0.5, 0.46, 0.42), (0.66, 0.58, 0.47)]
    )
    roof: Material = partial(textures.roof_tiles, rng, tile_px=17.0, color=(0.62, 0.36, 0.27))
    patches = block((3.0, 2.4, floor - 1.0), (7.0, 5.6, floor + 2.3), wall, texels_per_m=_DENSITY * 1.4)
    x = np.linspace(2.6, 7.4, 40)
    ridge, eaves = floor + 3.9, floor + 2.15
    for low_y, columns in ((2.0, x), (6.0, x[::-1])):
        share = np.linspace(0, 1, 20)[:, None] + 0 * columns[None]
        y = 4.0 + (low_y - 4.0) * share
        patches.append(
            sheet(
                np.dstack([columns + 0 * share, y, ridge + (eaves - ridge) * share]), roof, texels_per_m=_DENSITY * 1.4
            )
        )
    for x_gable, across in ((3.0, np.linspace(5.6, 2.4, 24)), (7.0, np.linspace(2.4, 5.6, 24))):
        share = np.linspace(1, 0, 12)[:, None]
        top = (ridge - 0.12 - (floor + 2.3)) * (1 - np.abs(across - 4.0) / 2.0).clip(0.0)
        z = floor + 2.3 + share * top
        patches.append(sheet(np.dstack([x_gable + 0 * z, across + 0 * z, z]), wall, texels_per_m=_DENSITY * 1.4))
    return [*patches, *block((5.8, 4.6, floor + 2.5), (6.4, 5.2, floor + 4.3), wall, texels_per_m=_DENSITY * 1.4)]
