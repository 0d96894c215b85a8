"""Small still lives that belong to no scene: a wall, some ground and a few things before it, each time others."""

from functools import partial

import numpy as np

from reconflow.core.arrays import Array
from reconflow.world import textures
from reconflow.world.surfaces import Material, Patch, block, boulder, bush, fluted_column, lathe, level, sheet

_DENSITY = 95.0
_COLORS = np.array(
    [(0.76, 0.7, 0.6), (0.66, 0.4, 0.3), (0.5, 0.54, 0.58), (0.74, 0.6, 0.38), (0.48, 0.56, 0.5), (0.6, 0.5, 0.46)]
)


def stray_patches(rng: np.random.Generator, number: int) -> list[Patch]:
    """Return the sheets of one still life about the origin, to be seen from −y."""
    wall, ground = (_WALLS[number % len(_WALLS)], _GROUNDS[(number // 2) % len(_GROUNDS)])
    x, z = np.meshgrid(np.linspace(-7, 7, 90), np.linspace(float(rng.uniform(2.6, 3.6)), 0, 30))
    swell = 0.05 * np.sin(1.7 * x + float(rng.uniform(0, 6))) * np.sin(1.3 * z)
    patches = [
        sheet(np.dstack([x, 1.6 + swell, z]), partial(wall, rng), texels_per_m=_DENSITY * 0.8),
        level(-9.0, -6.5, 9.0, 1.7, 0.0, partial(ground, rng), texels_per_m=_DENSITY * 0.7, step_m=0.15),
    ]
    for k in range(4):
        at = (-2.7 + 1.8 * k + float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-1.2, 0.6)))
        patches += _thing(rng, at, int(rng.integers(0, 4)))
    return patches


def _thing(rng: np.random.Generator, at: tuple[float, float], kind: int) -> list[Patch]:
    color = _color(rng)
    stuff: Material = partial(textures.stone, rng, color=color)
    if kind == 0:
        return [
            fluted_column(
                at,
                0.0,
                float(rng.uniform(0.9, 2.2)),
                0.24,
                stuff,
                texels_per_m=_DENSITY,
                flutes=int(rng.integers(8, 18)),
            )
        ]
    if kind == 1:
        size = rng.uniform(0.3, 0.75, 3)
        rocky: Material = partial(textures.rock, rng, color=color)
        return [boulder(rng, rocky, center=(*at, 0.1), size=(size[0], size[1], size[2]), texels_per_m=_DENSITY)]
    if kind == 2:
        side, high = rng.uniform(0.25, 0.45), float(rng.uniform(0.4, 1.3))
        low = (at[0] - side, at[1] - side, 0.0)
        return block(low, (at[0] + side, at[1] + side, high), partial(_poster, rng), texels_per_m=_DENSITY)
    tall = float(rng.uniform(0.5, 0.9))
    jar = [(0.0, tall), (0.2, tall), (0.13, tall * 0.85), (0.36, tall * 0.5), (0.16, 0.0)]
    leaves: Material = partial(textures.foliage, rng, colors=[(0.25, 0.4, 0.2), (0.5, 0.5, 0.2)], leaf_px=8.0)
    return [
        lathe(jar, stuff, center=at, texels_per_m=_DENSITY, segments=60, step_m=0.04),
        bush(rng, (*at, tall + 0.25), 0.28, leaves, texels_per_m=_DENSITY),
    ]


def _poster(rng: np.random.Generator, height: int, width: int) -> Array:
    ink = (float(rng.uniform(0.05, 0.3)), 0.12, float(rng.uniform(0.05, 0.3)))
    paper = textures.stone(rng, height, width, _color(rng))
    letter = max(8.0, height / float(rng.uniform(2.5, 6)))
    return textures.inscribed(rng, paper, (4, 4, width, height), letter_px=letter, color=ink)


def _brick(rng: np.random.Generator, height: int, width: int) -> Array:
    red = float(rng.uniform(0.45, 0.65))
    colors = [(red, 0.3, 0.22), (red * 0.85, 0.26, 0.2), (red * 1.1, 0.4, 0.3)]
    return textures.masonry(rng, height, width, course_px=float(rng.uniform(8, 13)), colors=colors)


def _coated(rng: np.random.Generator, height: int, width: int) -> Array:
    return textures.plaster(rng, height, width, _color(rng), course_px=8.0)


def _color(rng: np.random.Generator) -> textures.Color:
    """Return one of the colours of painted or natural stone, a little off."""
    red, green, blue = _COLORS[int(rng.integers(0, len(_COLORS)))] * rng.uniform(0.88, 1.1, 3)
    return float(red), float(green), float(blue)


def _hedge(rng: np.random.Generator, height: int, width: int) -> Array:
    colors = [(0.16, 0.26, 0.1), (0.24, 0.38, 0.14), (0.36, 0.46, 0.2)]
    return textures.foliage(rng, height, width, colors=colors, leaf_px=float(rng.uniform(10, 15)))


def _cliff(rng: np.random.Generator, height: int, width: int) -> Array:
    return textures.rock(rng, height, width, (0.56, 0.47, 0.38))


def _paved(rng: np.random.Generator, height: int, width: int) -> Array:
    colors = [(0.5, 0.46, 0.42), (0.58, 0.5, 0.42)]
    return textures.cobbles(rng, height, width, stone_px=float(rng.uniform(14, 34)), colors=colors)


def _lawn(rng: np.random.Generator, height: int, width: int) -> Array:
    return textures.grass(rng, height, width, colors=[(0.34, 0.42, 0.18), (0.46, 0.52, 0.26)], tuft_px=5.0)


_WALLS = (_brick, _poster, _hedge, _coated, _cliff)
_GROUNDS = (_paved, _lawn)
