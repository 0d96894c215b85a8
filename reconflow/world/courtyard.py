"""A courtyard: an old facade with windows and a portal, a colonnade, two wings and a fountain."""

from functools import partial

import numpy as np

from reconflow.core.arrays import Array
from reconflow.world import textures
from reconflow.world.surfaces import Material, Patch, block, boulder, bush, fluted_column, lathe, level, sheet

_DENSITY = 85.0
"""Texels along a metre of wall: about what a photo from the middle of the yard resolves."""
_WIDTH, _HEIGHT = 18.0, 9.0
_OCHRE, _SAND, _PALE = (0.78, 0.62, 0.42), (0.74, 0.69, 0.58), (0.78, 0.74, 0.67)

Opening = tuple[float, float, float, float, float]
"""Left, bottom, right, top and depth in metres; a negative depth sticks out of the wall."""


def courtyard_patches(rng: np.random.Generator) -> list[Patch]:
    """Return the sheets of the scene; the facade stands at y = 5, the fountain at the origin."""
    stone = partial(textures.stone, rng, color=_SAND)
    patches = [_facade(rng), *_wings(rng), *_colonnade(rng), *_fountain(rng), *_furniture(rng)]
    paving = partial(
        textures.cobbles, rng, stone_px=24.0, colors=[(0.5, 0.47, 0.43), (0.57, 0.51, 0.44), (0.44, 0.43, 0.42)]
    )
    patches.append(level(-9.4, -13.0, 9.4, 5.2, 0.0, paving, texels_per_m=_DENSITY, step_m=0.12))
    patches += block((-9.2, 4.75, 8.75), (9.2, 5.6, 9.15), stone, texels_per_m=_DENSITY)
    return patches


def _facade(rng: np.random.Generator) -> Patch:
    columns = (-6.9, -4.1, 4.1, 6.9)
    windows: list[Opening] = [(x - 0.65, 5.2, x + 0.65, 7.5, 0.3) for x in (*columns, -1.4, 1.4)]
    windows += [(x - 0.6, 1.5, x + 0.6, 3.5, 0.3) for x in columns]
    door: Opening = (-1.1, 0.0, 1.1, 3.3, 0.55)
    frames = [(x0 - 0.18, max(z0 - 0.14, 0.0), x1 + 0.18, z1 + 0.2, -0.09) for x0, z0, x1, z1, _ in (*windows, door)]
    sills = [(x0 - 0.3, z0 - 0.26, x1 + 0.3, z0 - 0.14, -0.22) for x0, z0, x1, _, _ in windows]
    lintels = [(x0 - 0.32, z1 + 0.2, x1 + 0.32, z1 + 0.36, -0.2) for x0, _, x1, z1, _ in windows]
    bands = [(-9.0, 0.0, 9.0, 0.8, -0.12), (-9.0, 4.2, 9.0, 4.5, -0.16), (-9.0, 8.3, 9.0, 8.8, -0.2)]
    pilasters = [(x - 0.3, 0.8, x + 0.3, 8.3, -0.14) for x in (-8.6, -5.5, -2.5, 2.5, 5.5, 8.6)]
    plaque: Opening = (-1.9, 3.62, 1.9, 4.12, -0.1)
    layers: list[Opening] = [*bands, *pilasters, *frames, *sills, *lintels, plaque, *windows, door]
    x, z = _lines(layers, 0, _WIDTH / 2), _lines(layers, 1, _HEIGHT)
    depth = np.zeros((len(z), len(x)))
    for x0, z0, x1, z1, into in layers:
        depth[np.ix_((z > z0) & (z < z1), (x > x0) & (x < x1))] = into
    grid_x, grid_z = np.meshgrid(x, z)
    points = np.dstack([grid_x, 5.0 + depth, grid_z])
    # The texture follows the front, not the folds of the openings: what is painted must meet what is cut.
    u, v = (x - x[0]) / (x[-1] - x[0]), (z[0] - z) / (z[0] - z[-1])
    return Patch(points, u, v, _facade_paint(rng, layers, windows, door, plaque))


def _lines(layers: list[Opening], axis: int, end: float) -> Array:
    """Return grid lines 8 cm apart and one on either side of every edge; z runs down, x runs right."""
    start = -end if axis == 0 else 0.0
    edges = np.array([layer[k] for layer in layers for k in (axis, axis + 2)])
    lines = np.concatenate([np.arange(start, end, 0.08), [end], edges - 0.003, edges + 0.003])
    lines = np.unique(np.clip(lines, start, end).round(4))
    return lines if axis == 0 else lines[::-1]


def _facade_paint(
    rng: np.random.Generator, layers: list[Opening], windows: list[Opening], door: Opening, plaque: Opening
) -> Array:
    height, width = round(_HEIGHT * _DENSITY), round(_WIDTH * _DENSITY)

    def pixels(part: Opening) -> tuple[int, int, int, int]:
        x0, z0, x1, z1, _ = part
        left, right = ((x + _WIDTH / 2) * _DENSITY for x in (x0, x1))
        top, bottom = ((_HEIGHT - z) * _DENSITY for z in (z1, z0))
        return max(round(left), 0), max(round(top), 0), min(round(right), width), min(round(bottom), height)

    paint = textures.plaster(rng, height, width, _OCHRE, course_px=7.0)
    carved = textures.stone(rng, height, width, _PALE)
    ashlar = textures.masonry(rng, height, width, course_px=32.0, colors=[_SAND, _PALE, (0.7, 0.65, 0.56)])
    for part in layers:
        left, top, right, bottom = pixels(part)
        source = ashlar if part[0] == -9.0 and part[1] == 0.0 else carved
        paint[top:bottom, left:right] = source[top:bottom, left:right]
    for part in windows:
        left, top, right, bottom = pixels(part)
        paint[top:bottom, left:right] = _panes(rng, bottom - top, right - left)
    left, top, right, bottom = pixels(door)
    paint[top:bottom, left:right] = _planks(rng, bottom - top, right - left)
    left, top, right, bottom = pixels(plaque)
    inside = (left + 10, top + 8, right - 6, bottom - 4)
    return textures.inscribed(rng, paint, inside, letter_px=13.0, color=(0.2, 0.15, 0.1))


def _panes(rng: np.random.Generator, height: int, width: int) -> Array:
    """Return a window: dusty dark panes, each with another shade, behind a wooden cross."""
    glass = textures.stone(rng, height, width, (0.2, 0.25, 0.3))
    rows, columns = 4, 2
    tone = rng.uniform(0.5, 1.7, (rows, columns, 1))
    y, x = np.arange(height) * rows // height, np.arange(width) * columns // width
    glass = glass * tone[np.ix_(y, x)]
    wood = textures.stone(rng, height, width, (0.33, 0.4, 0.36))
    bar = np.zeros((height, width), np.float32)
    for k in range(rows + 1):
        at = round(k * height / rows)
        bar[max(at - 3, 0) : at + 3] = 1
    for k in range(columns + 1):
        at = round(k * width / columns)
        bar[:, max(at - 4, 0) : at + 4] = 1
    return textures.mixed(glass.astype(np.float32), wood, bar)


def _planks(rng: np.random.Generator, height: int, width: int) -> Array:
    """Return a wooden door of uneven planks with nails."""
    plank = np.arange(width) * 9 // width
    tone = rng.uniform(0.7, 1.25, 9)[plank]
    grain = textures.fractal_noise(rng, max(height // 8, 2), width, largest_px=10, persistence=0.8)
    grain = grain[np.minimum(np.arange(height) // 8, len(grain) - 1)]
    level_of = tone[None] * (1 + 0.13 * grain)
    level_of[:, np.flatnonzero(np.diff(plank))] *= 0.35
    for row in range(12, height, 46):
        for column in range(width // 18, width, width // 9):
            level_of[row : row + 4, column : column + 4] = 0.25
    return textures.tinted((0.43, 0.28, 0.17), level_of)


def _wings(rng: np.random.Generator) -> list[Patch]:
    """Return two lower wings of masonry at the sides, each with a row of blind niches."""
    wall = partial(
        textures.masonry, rng, course_px=26.0, colors=[(0.66, 0.58, 0.46), (0.72, 0.65, 0.54), (0.58, 0.5, 0.41)]
    )
    roof = partial(textures.roof_tiles, rng, tile_px=26.0, color=(0.68, 0.36, 0.25))
    patches: list[Patch] = []
    for side in (-1, 1):
        y = -side * np.linspace(-5.75, 5.75, 116) - 0.75
        z = np.linspace(5.0, 0.0, 52)
        grid_y, grid_z = np.meshgrid(y, z)
        niche = (np.abs((grid_y + 7.2) % 2.6 - 1.3) < 0.6) & (np.abs(grid_y + 0.7) < 5)
        niche &= (grid_z > 0.9) & (grid_z < 3.2)
        points = np.dstack([side * (9.0 + 0.45 * niche), grid_y, grid_z])
        patches.append(sheet(points, wall, texels_per_m=_DENSITY * 0.75))
        slope = np.linspace(0, 1, 30)[:, None]
        eaves = np.dstack(
            [
                side * (8.6 + 2.6 * (1 - slope) + 0 * y[None]),
                np.broadcast_to(y, (30, len(y))),
                5.0 + 1.7 * (1 - slope) + 0 * y[None],
            ]
        )
        patches.append(sheet(eaves, roof, texels_per_m=_DENSITY * 0.6))
    return patches


def _colonnade(rng: np.random.Generator) -> list[Patch]:
    """Return four columns in front of the facade that carry a beam."""
    marble: Material = partial(textures.stone, rng, color=_PALE)
    patches: list[Patch] = []
    for x in (-5.5, -2.5, 2.5, 5.5):
        patches += block((x - 0.42, 3.28, 0.0), (x + 0.42, 4.12, 0.35), marble, texels_per_m=_DENSITY)
        patches.append(fluted_column((x, 3.7), 0.35, 3.6, 0.3, marble, texels_per_m=_DENSITY))
        patches += block((x - 0.42, 3.28, 3.6), (x + 0.42, 4.12, 3.78), marble, texels_per_m=_DENSITY)
    for low, high in (((-6.2, 3.3, 3.78), (-1.8, 4.1, 4.2)), ((1.8, 3.3, 3.78), (6.2, 4.1, 4.2))):
        patches += block(low, high, marble, texels_per_m=_DENSITY)
    return patches


def _fountain(rng: np.random.Generator) -> list[Patch]:
    basin = partial(textures.masonry, rng, course_px=24.0, colors=[_SAND, (0.68, 0.62, 0.53), _PALE])
    marble: Material = partial(textures.stone, rng, color=(0.83, 0.78, 0.7))

    def water(height: int, width: int) -> Array:
        shade = textures.stone(rng, height, width, (0.32, 0.47, 0.44))
        ripple = textures.fractal_noise(rng, height, width, largest_px=24, persistence=0.8)
        return np.clip(shade * (1 + 0.15 * ripple)[..., None], 0, 1).astype(np.float32)

    def octagon(angle: Array, z: Array) -> Array:
        folded = (angle + np.pi / 8) % (np.pi / 4) - np.pi / 8
        return np.cos(np.pi / 8) / np.cos(folded) + 0 * z

    rim = [(1.75, 0.42), (1.78, 0.78), (2.15, 0.78), (2.15, 0.62), (2.0, 0.58), (2.0, 0.2), (2.35, 0.18), (2.35, 0.0)]
    stem = [(0.0, 2.75), (0.1, 2.72), (0.16, 2.55), (0.07, 2.42), (0.12, 2.3), (0.3, 2.22), (0.62, 2.32), (0.66, 2.28)]
    stem += [(0.5, 2.1), (0.16, 1.98), (0.12, 1.75), (0.2, 1.6), (0.5, 1.5), (1.12, 1.66), (1.18, 1.6), (0.95, 1.42)]
    stem += [(0.4, 1.22), (0.22, 1.1), (0.2, 0.9), (0.36, 0.8), (0.38, 0.42)]
    turned = partial(lathe, center=(0.0, 0.0), texels_per_m=_DENSITY * 1.25)
    return [
        turned(rim, basin, segments=96, reshape=octagon),
        turned(stem, marble, segments=72, step_m=0.05, reshape=lambda a, z: 1 + 0.03 * np.cos(8 * a) + 0 * z),
        turned([(0.0, 0.52), (1.85, 0.52)], water, segments=96, reshape=octagon),
    ]


def _furniture(rng: np.random.Generator) -> list[Patch]:
    """Return two stone benches, pots with shrubs and a few loose stones."""
    marble: Material = partial(textures.stone, rng, color=(0.72, 0.68, 0.6))
    clay: Material = partial(textures.stone, rng, color=(0.66, 0.38, 0.26))
    green = [(0.2, 0.33, 0.13), (0.33, 0.45, 0.17), (0.26, 0.4, 0.2), (0.45, 0.5, 0.22)]
    leaves: Material = partial(textures.foliage, rng, colors=green, leaf_px=7.0)
    patches: list[Patch] = []
    for x, y, width in ((-5.6, 0.4, 1.9), (4.2, 0.9, 1.9)):
        patches += block((x, y, 0.36), (x + width, y + 0.55, 0.48), marble, texels_per_m=_DENSITY)
        for foot in (x + 0.12, x + width - 0.4):
            patches += block((foot, y + 0.06, 0.0), (foot + 0.28, y + 0.49, 0.36), marble, texels_per_m=_DENSITY)
    pot = [(0.0, 0.66), (0.36, 0.66), (0.4, 0.72), (0.43, 0.7), (0.43, 0.58), (0.36, 0.52), (0.22, 0.0)]
    for x, y in ((-1.75, 4.2), (1.75, 4.2), (-7.6, 2.6), (7.5, 2.2), (-7.4, -2.2), (7.2, -1.6)):
        patches.append(lathe(pot, clay, center=(x, y), texels_per_m=_DENSITY, segments=40))
        size = float(rng.uniform(0.4, 0.58))
        patches.append(bush(rng, (x, y, 0.62 + 0.7 * size), size, leaves, texels_per_m=_DENSITY))
    for x, y in ((-3.4, -2.6), (3.7, -1.9), (-3.9, -2.2), (2.9, 2.4)):
        size = tuple(rng.uniform(0.16, 0.4, 3))
        rocky: Material = partial(textures.rock, rng, color=(0.55, 0.52, 0.47))
        patches.append(
            boulder(
                rng, rocky, center=(x, y, 0.08), size=(size[0], size[1], size[2]), texels_per_m=_DENSITY, resolution=24
            )
        )
    return patches
