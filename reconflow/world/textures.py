"""Procedural materials: stone, masonry, paving, plaster, rock, grass, foliage, roof tiles, inscriptions.

A material is an (H, W, 3) float32 raster from 0 to 1, as a screen shows it (gamma 2.2). All of them carry detail at
every scale, so that a feature finder sees something from near and far, and none repeats, so that no two places look
the same.
"""

from collections.abc import Sequence

import numpy as np

from reconflow.core.arrays import Array

Color = tuple[float, float, float]
"""Red, green, blue from 0 to 1."""

_LUMINANCE_STEP = 0.05
"""Contrast of the finest speckle that every material gets."""


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, *, largest_px: float, persistence: float = 0.6
) -> Array:
    """Return (H, W) float32 noise of zero mean and unit deviation, in octaves from ``largest_px`` down to 2 px."""
    import cv2

    weight, cell, spare = 1.0, largest_px, 8
    rows, columns = int(height / cell) + spare, int(width / cell) + spare
    total = rng.standard_normal((rows, columns), dtype=np.float32)
    while cell >= 4:
        # Each octave is laid on the coarser ones at twice their size, cut out at random: were the cells of all
        # octaves in line, their corners would show as a lattice.
        weight, cell = weight * persistence, cell / 2
        rows, columns = int(height / cell) + spare, int(width / cell) + spare
        total = _cut(cv2.resize(total, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), rows, columns, rng)
        total += np.float32(weight) * rng.standard_normal((rows, columns), dtype=np.float32)
    total = _cut(cv2.resize(total, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC), height, width, rng)
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def _cut(raster: Array, height: int, width: int, rng: np.random.Generator) -> Array:
    top, left = (
        int(rng.integers(0, have - need + 1)) for have, need in zip(raster.shape, (height, width), strict=True)
    )
    return raster[top : top + height, left : left + width]


def mixed(first: Array, second: Array | Color, share: Array) -> Array:
    """Return ``first`` where the (H, W) ``share`` is 0 and ``second`` where it is 1."""
    weight = np.clip(share, 0, 1)[..., None].astype(np.float32)
    return first + (np.asarray(second, np.float32) - first) * weight


def tinted(color: Color, level: Array) -> Array:
    """Return a raster of one colour times an (H, W) level around 1."""
    return np.asarray(color, np.float32) * np.maximum(level, 0.02)[..., None].astype(np.float32)


def embossed(albedo: Array, relief: Array, *, strength: float) -> Array:
    """Return ``albedo`` with the shading of a small relief lit from the top left."""
    slope = np.zeros_like(relief)
    slope[1:-1, 1:-1] = relief[2:, 2:] - relief[:-2, :-2]
    return np.clip(albedo * (1 + np.clip(strength * slope, -0.5, 0.5))[..., None], 0, 1)


def stone(rng: np.random.Generator, height: int, width: int, color: Color) -> Array:
    """Return weathered stone: clouds, speckle, dark pits, fine cracks and lichen."""
    cloud = fractal_noise(rng, height, width, largest_px=160, persistence=0.75)
    hue = fractal_noise(rng, height, width, largest_px=90, persistence=0.6)
    vein = np.abs(fractal_noise(rng, height, width, largest_px=220, persistence=0.55))
    speckle = rng.standard_normal((height, width), dtype=np.float32)
    level = 1 + 0.17 * cloud + _LUMINANCE_STEP * speckle - 0.35 * np.clip(1 - vein / 0.03, 0, 1)
    level -= 0.25 * np.clip(-cloud - 1.6, 0, 1)
    albedo = tinted(color, level)
    albedo = albedo * (1 + hue[..., None] * np.array([0.035, 0.0, -0.05], np.float32))
    lichen = np.clip((hue * cloud - 1.9) * 2, 0, 0.55)
    return np.clip(embossed(mixed(albedo, (0.52, 0.5, 0.3), lichen), cloud, strength=0.16), 0, 1)


def masonry(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    course_px: float,
    colors: Sequence[Color],
    mortar: Color = (0.5, 0.46, 0.4),
    joint_px: float = 2.5,
) -> Array:
    """Return a wall of blocks in courses of uneven height, each block cut and coloured differently."""
    base = stone(rng, height, width, (0.8, 0.8, 0.8))
    edges = np.cumsum(course_px * rng.uniform(0.8, 1.2, int(height / course_px * 1.3) + 3))
    course = np.searchsorted(edges, np.arange(height))
    warp = 1.2 * fractal_noise(rng, height, width, largest_px=60)
    columns = np.arange(width)
    block = np.zeros((height, width), np.int32)
    gap = np.zeros((height, width), np.float32)
    first = 0
    for row in np.unique(course):
        lines = np.flatnonzero(course == row)
        cuts = np.cumsum(course_px * rng.uniform(1.2, 2.8, int(width / course_px) + 3)) - rng.uniform(0, course_px)
        x = columns + warp[lines]
        index = np.searchsorted(cuts, x)
        block[lines] = first + index
        near = np.minimum(
            np.abs(x - cuts[np.clip(index, 0, len(cuts) - 1)]), np.abs(x - cuts[np.maximum(index - 1, 0)])
        )
        y = lines + 0.7 * warp[lines].T
        top = edges[row - 1] if row else -1e3
        gap[lines] = np.minimum(near, np.minimum(np.abs(y.T - top), np.abs(edges[row] - y.T)))
        first += len(cuts) + 1
    palette = np.asarray(colors, np.float32)[rng.integers(0, len(colors), first)]
    palette *= rng.uniform(0.78, 1.18, (first, 1)).astype(np.float32) * rng.uniform(0.96, 1.04, (first, 3))
    relief = np.clip(gap / joint_px, 0, 1.6)
    albedo = mixed(base * palette[block].astype(np.float32) * 1.25, mortar, np.clip(1.4 - gap / joint_px, 0, 0.85))
    return embossed(albedo, relief, strength=0.25)


def cobbles(rng: np.random.Generator, height: int, width: int, *, stone_px: float, colors: Sequence[Color]) -> Array:
    """Return rounded paving stones with dark, partly mossy joints."""
    label, gap = cells(rng, height, width, size_px=stone_px)
    count = int(label.max()) + 1
    palette = np.asarray(colors, np.float32)[rng.integers(0, len(colors), count)]
    palette *= rng.uniform(0.7, 1.2, (count, 1)).astype(np.float32)
    base = stone(rng, height, width, (0.85, 0.85, 0.85)) * palette[label].astype(np.float32) * 1.2
    moss = np.clip(0.5 + 0.5 * fractal_noise(rng, height, width, largest_px=300), 0, 1)
    joint = mixed(tinted((0.25, 0.22, 0.19), np.ones((height, width))), (0.27, 0.33, 0.13), moss)
    share = np.clip(1.3 - gap / (0.07 * stone_px), 0, 0.95)
    return embossed(mixed(base, joint, share), np.minimum(gap, 0.16 * stone_px), strength=0.12)


def cells(rng: np.random.Generator, height: int, width: int, *, size_px: float) -> tuple[Array, Array]:
    """Return the cell (H, W) int32 that each pixel lies in, and its distance in pixels from the cell's border."""
    import cv2

    rows, columns = int(height / size_px) + 3, int(width / size_px) + 3
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    x += 0.5 * (np.arange(rows) % 2)[:, None]
    seeds = np.stack([x, y], axis=-1) + rng.uniform(-0.32, 0.32, (rows, columns, 2))
    marks = np.full((height, width), 255, np.uint8)
    at = np.rint((seeds.reshape(-1, 2) - 1) * size_px).astype(int)
    at = at[((at >= 0) & (at < [width, height])).all(axis=1)]
    marks[at[:, 1], at[:, 0]] = 0
    _, label = cv2.distanceTransformWithLabels(marks, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.full((height, width), 255, np.uint8)
    inside[:, 1:][label[:, 1:] != label[:, :-1]] = 0
    inside[1:][label[1:] != label[:-1]] = 0
    return label, cv2.distanceTransform(inside, cv2.DIST_L2, 3)


def plaster(rng: np.random.Generator, height: int, width: int, color: Color, *, course_px: float) -> Array:
    """Return old plaster with stains and streaks, fallen off in places down to the bricks."""
    bricks = masonry(rng, height, width, course_px=course_px, colors=[(0.5, 0.29, 0.22), (0.42, 0.24, 0.19)])
    coat = stone(rng, height, width, color)
    streak = fractal_noise(rng, max(height // 12, 2), width, largest_px=40, persistence=0.7)
    coat = coat * (1 - 0.06 * np.abs(_stretched(streak, height, width)))[..., None]
    hole = fractal_noise(rng, height, width, largest_px=260, persistence=0.5)
    edge = np.clip((hole - 1.35) * 12, 0, 1)
    return embossed(mixed(coat, bricks, edge), -edge, strength=0.5)


def rock(rng: np.random.Generator, height: int, width: int, color: Color) -> Array:
    """Return broken rock: bedding, fractures and mineral spots."""
    base = stone(rng, height, width, color)
    bend = fractal_noise(rng, height, width, largest_px=300)
    bed = np.sin(np.arange(height, dtype=np.float32)[:, None] / 9 + 2.2 * bend)
    _, gap = cells(rng, height, width, size_px=float(rng.uniform(60, 110)))
    fracture = np.clip(1 - (gap + 2.0 * np.abs(bend)) / 3.0, 0, 1)
    return np.clip(base * (1 + 0.09 * bed - 0.55 * fracture)[..., None], 0, 1)


def foliage(
    rng: np.random.Generator, height: int, width: int, *, colors: Sequence[Color], leaf_px: float, density: float = 1.0
) -> Array:
    """Return overlapping leaves or blades, the upper ones lighter; ``density`` 1 covers the ground about twice."""
    import cv2

    raster = np.empty((height, width, 3), np.uint8)
    raster[:] = np.rint(np.asarray(colors[0]) * 110).astype(np.uint8)
    count = int(density * 2 * height * width / (leaf_px * leaf_px * 0.9))
    at = rng.uniform(0, 1, (count, 2)) * [width, height] * 8
    axes = leaf_px * rng.uniform(0.5, 1.3, count)[:, None] * np.array([0.75, 0.3]) * 8
    angle = rng.uniform(0, 180, count)
    tone = np.asarray(colors)[rng.integers(0, len(colors), count)] * rng.uniform(0.6, 1.15, (count, 1))
    tone = np.clip(tone * np.linspace(0.65, 1.15, count)[:, None] * 255, 0, 255)
    for (x, y), (a, b), turn, color in zip(at.astype(int), axes.astype(int), angle, tone, strict=True):
        box = ((x / 8, y / 8), (2 * a / 8, 2 * b / 8), turn)
        cv2.ellipse(raster, box, color.tolist(), -1)
    tint = fractal_noise(rng, height, width, largest_px=240)
    return np.clip(raster.astype(np.float32) / 255 * (1 + 0.12 * tint)[..., None], 0, 1)


def grass(rng: np.random.Generator, height: int, width: int, *, colors: Sequence[Color], tuft_px: float) -> Array:
    """Return short grass from above: tufts of many greens in clumps, with straw between."""
    label, gap = cells(rng, height, width, size_px=tuft_px)
    count = int(label.max()) + 1
    clump = fractal_noise(rng, height, width, largest_px=30 * tuft_px, persistence=0.7)
    tone = np.asarray(colors, np.float32)[rng.integers(0, len(colors), count)]
    tone *= rng.uniform(0.55, 1.3, (count, 1)).astype(np.float32)
    speckle = rng.standard_normal((height, width), dtype=np.float32)
    level = 0.8 + 0.2 * np.minimum(gap / (0.35 * tuft_px), 1.5) + 0.14 * clump + 0.1 * speckle
    return np.clip(tone[label] * level[..., None], 0, 1).astype(np.float32)


def roof_tiles(rng: np.random.Generator, height: int, width: int, *, tile_px: float, color: Color) -> Array:
    """Return rows of overlapping tiles of fired clay."""
    base = stone(rng, height, width, (0.85, 0.85, 0.85))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    row = (y / tile_px).astype(int)
    column = (x / tile_px * 1.4 + 0.5 * (row % 2)).astype(int)
    along, across = y / tile_px - row, x / tile_px * 1.4 + 0.5 * (row % 2) - column
    count = (int(row.max()) + 1, int(column.max()) + 1)
    tone = np.asarray(color, np.float32) * rng.uniform(0.65, 1.25, (*count, 1)) * rng.uniform(0.93, 1.07, (*count, 3))
    level = ((0.72 + 0.35 * along) * (0.8 + 0.25 * np.sin(np.pi * across))).astype(np.float32)
    return np.clip(base * tone[row, column].astype(np.float32) * level[..., None] * 1.2, 0, 1)


def inscribed(
    rng: np.random.Generator, albedo: Array, box: tuple[int, int, int, int], *, letter_px: float, color: Color
) -> Array:
    """Return ``albedo`` with lines of letter-like signs in ``box`` (left, top, right, bottom, in pixels)."""
    import cv2

    left, top, right, bottom = box
    height, width = albedo.shape[:2]
    ink = np.zeros((height, width), np.uint8)
    thickness = max(1, round(letter_px * 0.13))
    for y in np.arange(top, bottom - letter_px * 0.8, letter_px * 1.5):
        x = float(left)
        while x < right - letter_px:
            if rng.uniform() < 0.85:
                for stroke in _glyph(rng):
                    points = np.rint((stroke * letter_px + [x, y]) * 16).astype(np.int32)
                    cv2.polylines(
                        ink, [points], isClosed=False, color=255, thickness=thickness, lineType=cv2.LINE_AA, shift=4
                    )
            x += letter_px * float(rng.uniform(0.8, 1.05))
    share = ink.astype(np.float32) / 255
    worn = np.clip(0.95 + 0.25 * fractal_noise(rng, height, width, largest_px=60), 0.3, 1)
    return embossed(mixed(albedo, color, share * worn), -share, strength=0.3)


def _glyph(rng: np.random.Generator) -> list[Array]:
    """Return two to four strokes between the nodes of a 3 × 3 lattice or along an arc: a sign of no alphabet."""
    strokes: list[Array] = []
    for _ in range(int(rng.integers(2, 5))):
        if rng.uniform() < 0.3:
            start, sweep = rng.uniform(0, 2 * np.pi), rng.uniform(2.5, 6)
            turn = np.linspace(start, start + sweep, 12)
            strokes.append(np.column_stack([0.35 + 0.3 * np.cos(turn), 0.5 + 0.4 * np.sin(turn)]))
        else:
            nodes = rng.integers(0, 3, (2, 2))
            strokes.append(nodes * [0.35, 0.5])
    return strokes


def _stretched(raster: Array, height: int, width: int) -> Array:
    import cv2

    return cv2.resize(raster, (width, height), interpolation=cv2.INTER_LINEAR)
