"""A round temple on a knoll: steps, a ring of columns, a walled cella under a tiled roof, cypresses about it."""

from functools import partial

import numpy as np

from reconflow.core.arrays import Array
from reconflow.world import textures
from reconflow.world.surfaces import Material, Patch, boulder, bush, fluted_column, lathe, sheet

_DENSITY = 75.0
_COLUMNS = 10
_MARBLE, _WARM = (0.8, 0.76, 0.68), (0.74, 0.66, 0.53)
_GREENS = [(0.3, 0.4, 0.17), (0.42, 0.5, 0.22), (0.36, 0.46, 0.22), (0.52, 0.53, 0.28)]


def temple_patches(rng: np.random.Generator) -> list[Patch]:
    """Return the sheets of the scene; the temple stands over the origin, its floor 1.2 m above the ground."""
    marble: Material = partial(textures.stone, rng, color=_MARBLE)
    ashlar: Material = partial(textures.masonry, rng, course_px=25.0, colors=[_MARBLE, _WARM, (0.68, 0.6, 0.5)])
    cella: Material = partial(_frescoed, rng)
    roof: Material = partial(textures.roof_tiles, rng, tile_px=20.0, color=(0.66, 0.37, 0.26))
    steps = [(0.0, 1.2), (4.1, 1.2), (4.1, 0.85), (4.55, 0.85), (4.55, 0.5), (5.0, 0.5), (5.0, 0.15), (5.45, 0.15)]
    crown = [(0.0, 8.05), (0.12, 8.0), (0.3, 7.8), (0.16, 7.6), (0.22, 7.45)]
    eaves = [(3.9, 5.95), (4.15, 5.85), (4.15, 5.6), (3.95, 5.5), (3.95, 4.8), (3.3, 4.8), (3.3, 5.4)]
    turned = partial(lathe, center=(0.0, 0.0), texels_per_m=_DENSITY)
    patches = [
        turned([*steps, (5.45, -0.6)], ashlar, segments=120, step_m=0.15),
        turned([(2.35, 5.4), (2.35, 1.2)], cella, segments=120, step_m=0.1, reshape=_doorway),
        turned(eaves, partial(_frieze, rng), segments=140, step_m=0.12),
        turned([(0.2, 7.5), (1.4, 7.2), (2.8, 6.6), (4.0, 5.92)], roof, segments=100, step_m=0.15),
        turned(crown, marble, segments=40, step_m=0.05),
    ]
    for k in range(_COLUMNS):
        turn = 2 * np.pi * (k + 0.5) / _COLUMNS
        at = (3.6 * float(np.cos(turn)), 3.6 * float(np.sin(turn)))
        patches.append(fluted_column(at, 1.2, 4.8, 0.28, marble, texels_per_m=_DENSITY))
    return [*patches, _ground(rng), _hills(rng), *_ruins(rng), *_trees(rng)]


def _doorway(angle: Array, z: Array) -> Array:
    """Return the radius factors of a wall with one doorway towards −y and slit windows round about."""
    from_door = np.abs((angle + np.pi / 2 + np.pi) % (2 * np.pi) - np.pi)
    door = (from_door < 0.28) & (z < 3.6)
    slit = (np.abs((angle * 5 / np.pi + 0.5) % 1 - 0.5) < 0.14) & (z > 3.0) & (z < 4.4) & (from_door > 0.5)
    return 1 - 0.22 * door - 0.12 * slit


def _frescoed(rng: np.random.Generator, height: int, width: int) -> Array:
    """Return masonry below and faded painting with signs above, a dark door in the middle of its place."""
    wall = textures.masonry(rng, height, width, course_px=22.0, colors=[_WARM, (0.66, 0.55, 0.42), (0.76, 0.7, 0.6)])
    red = textures.plaster(rng, height, width, (0.6, 0.3, 0.22), course_px=7.0)
    y = np.arange(height)[:, None] / height
    band = np.clip(20 * (0.06 - np.abs(y - 0.52)), 0, 1) + np.zeros((1, width))
    wall = textures.mixed(wall, red, band)
    return textures.inscribed(
        rng, wall, (0, round(0.48 * height), width, round(0.57 * height)), letter_px=22.0, color=(0.86, 0.76, 0.5)
    )


def _frieze(rng: np.random.Generator, height: int, width: int) -> Array:
    base = textures.stone(rng, height, width, _MARBLE)
    band = (0, round(0.27 * height), width, round(0.47 * height))
    return textures.inscribed(rng, base, band, letter_px=26.0, color=(0.28, 0.2, 0.15))


def _ground(rng: np.random.Generator) -> Patch:
    """Return the knoll: grass, worn to earth on a path and about the steps, rings of a polar grid."""
    radius = np.concatenate([np.linspace(4.6, 16, 90), np.geomspace(16.3, 75, 40)])[:, None]
    turn = np.linspace(-np.pi, np.pi, 241)[None]
    x, y = radius * np.cos(turn), radius * np.sin(turn)
    swell = 0.25 * np.sin(0.45 * x + 1) * np.cos(0.38 * y) + 0.12 * np.sin(1.1 * x - 0.7 * y)
    z = swell * np.clip((radius - 5.5) / 3, 0, 1) - np.clip(radius - 12, 0, 12) * 0.07
    points = np.dstack([x, y, z])

    def meadow(height: int, width: int) -> Array:
        grass = textures.grass(rng, height, width, colors=_GREENS, tuft_px=5.0)
        earth = textures.rock(rng, height, width, (0.58, 0.48, 0.36))
        pebbles = textures.cobbles(rng, height, width, stone_px=13.0, colors=[(0.6, 0.54, 0.45), (0.5, 0.45, 0.4)])
        y, x = np.arange(height)[:, None] / height, np.arange(width)[None] / width
        patchy = 0.8 * textures.fractal_noise(rng, height, width, largest_px=200)
        path = 2.2 - np.abs(x - 0.25) * 60 * (0.25 + y)
        near = 1.6 - y * 24
        worn = np.maximum(np.maximum(path, near), -1.1) + patchy
        return textures.mixed(textures.mixed(grass, earth, worn * 1.5), pebbles, (worn - 1.0) * 2)

    # Far rings are seen from afar: their share of the texture grows with the logarithm of the radius only.
    v = np.log(radius[:, 0] / radius[0, 0])
    return Patch(points, turn[0] / (2 * np.pi) + 0.5, v / v[-1], meadow(1100, 2600))


def _hills(rng: np.random.Generator) -> Patch:
    """Return a ring of wooded hills in the distance, seen from inside."""
    turn = np.linspace(np.pi, -np.pi, 361)
    crest = sum(np.sin(k * turn + rng.uniform(0, 6.3)) / k**0.8 for k in (2, 3, 5, 9, 17, 31, 57))
    height = 6.0 + 2.6 * np.asarray(crest)[None] * np.linspace(1, 0, 14)[:, None] ** 1.0
    drop = np.linspace(1, -0.6, 14)[:, None]
    radius = np.linspace(112, 72, 14)[:, None]
    points = np.dstack([radius * np.cos(turn), radius * np.sin(turn), height * drop - 1.5])

    def woods(rows: int, columns: int) -> Array:
        return textures.foliage(rng, rows, columns, colors=_GREENS[:3], leaf_px=10.0)

    return sheet(points, woods, texels_per_m=5.0)


def _ruins(rng: np.random.Generator) -> list[Patch]:
    """Return fallen drums and rocks in the grass, and a low broken wall."""
    marble: Material = partial(textures.stone, rng, color=_WARM)
    rocky: Material = partial(textures.rock, rng, color=(0.57, 0.53, 0.46))
    patches: list[Patch] = []
    for k in range(5):
        turn, away = 0.9 + 1.27 * k, float(rng.uniform(6.6, 8.2))
        at = (away * float(np.cos(turn)), away * float(np.sin(turn)))
        tall = float(rng.uniform(0.4, 0.95))
        drum = [(0.0, tall), (0.42, tall - 0.03), (0.44, 0.0), (0.46, -0.3)]
        patches.append(
            lathe(
                drum,
                marble,
                center=at,
                texels_per_m=_DENSITY,
                segments=96,
                reshape=lambda a, z: 1 - 0.05 * np.abs(np.sin(8 * a)) * (z < 0.36 + 0 * z),
            )
        )
    for _ in range(16):
        turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(6.2, 11)
        size = rng.uniform(0.25, 0.75, 3) * [1, 1, 0.8]
        center = (float(away * np.cos(turn)), float(away * np.sin(turn)), 0.05)
        patches.append(
            boulder(rng, rocky, center=center, size=(size[0], size[1], size[2]), texels_per_m=_DENSITY, resolution=28)
        )
    return patches


def _trees(rng: np.random.Generator) -> list[Patch]:
    """Return cypresses beyond the cameras' circle, and shrubs inside it."""
    leaves: Material = partial(textures.foliage, rng, colors=_GREENS, leaf_px=7.0)
    dark: Material = partial(
        textures.foliage, rng, colors=[(0.1, 0.18, 0.09), (0.16, 0.26, 0.12), (0.2, 0.3, 0.15)], leaf_px=5.0
    )
    patches: list[Patch] = []
    for k in range(22):
        turn, away = 2 * np.pi * (k + float(rng.uniform(-0.3, 0.3))) / 22, float(rng.uniform(24, 40))
        tall, wide = float(rng.uniform(6, 11)), float(rng.uniform(0.9, 1.4))
        share = np.linspace(0, 1, 24)
        profile = [
            (wide * float(min(1.0, 1.5 * s) ** 0.7 * (1 - 0.3 * s)) + 0.02, tall * (1 - float(s)) - 1.6) for s in share
        ]
        phase = rng.uniform(0, 6.3, 3)

        def ragged(angle: Array, z: Array, phase: Array = phase) -> Array:
            return 1 + 0.1 * np.sin(5 * angle + 3 * z + phase[0]) + 0.09 * np.sin(9 * angle - 5 * z + phase[1])

        at = (away * float(np.cos(turn)), away * float(np.sin(turn)))
        patches.append(lathe(profile, dark, center=at, texels_per_m=22, segments=48, step_m=0.3, reshape=ragged))
    for _ in range(12):
        turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(7.5, 10)
        size = float(rng.uniform(0.35, 0.7))
        center = (float(away * np.cos(turn)), float(away * np.sin(turn)), 0.7 * size)
        patches.append(bush(rng, center, size, leaves, texels_per_m=_DENSITY))
    return patches
