"""Curved sheets with a texture: what scenes are put together from. Metres; z points up."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array

Material = Callable[[int, int], Array]
"""Makes an (H, W, 3) float32 raster of reflectances from its height and width in texels."""


@dataclass(frozen=True)
class Patch:
    """A sheet given by a grid of points; seen from its outside, columns run to the right and rows run down."""

    points: Array
    """(R, C, 3) float64, in metres."""
    u: Array
    """(C,) from 0 to 1: where each column lies across the texture."""
    v: Array
    """(R,) from 0 to 1: where each row lies down the texture."""
    albedo: Array
    """(H, W, 3) float32, as a screen shows it (gamma 2.2)."""

    def normals(self) -> Array:
        """Return outward unit normals, (R, C, 3)."""
        down = np.gradient(self.points, axis=0)
        right = np.gradient(self.points, axis=1)
        normals = np.cross(down, right)
        return normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)


def sheet(points: Array, material: Material, *, texels_per_m: float) -> Patch:
    """Return a patch over (R, C, 3) points; its texture is as wide as the longest row and as high as the column."""
    points = np.asarray(points, np.float64)
    across = np.linalg.norm(np.diff(points, axis=1), axis=2)
    down = np.linalg.norm(np.diff(points, axis=0), axis=2)
    height, width = (max(8, round(float(m) * texels_per_m)) for m in (down.sum(axis=0).max(), across.sum(axis=1).max()))
    return Patch(points, _running(across.mean(axis=0)), _running(down.mean(axis=1)), material(height, width))


def lathe(
    profile: Sequence[tuple[float, float]],
    material: Material,
    *,
    center: tuple[float, float],
    texels_per_m: float,
    segments: int = 64,
    step_m: float = 0.08,
    reshape: Callable[[Array, Array], Array] | None = None,
) -> Patch:
    """Return the surface that a profile of (radius, z) from top to bottom sweeps about a vertical axis.

    ``reshape`` maps the angles (1, C) and heights (R, 1) to factors (R, C) of the radius, for flutes and unevenness.
    """
    outline = _resampled(np.asarray(profile, np.float64), step_m)
    turn = np.linspace(-np.pi, np.pi, segments + 1)[None]
    radius, z = outline[:, :1], outline[:, 1:]
    scale = np.ones((len(outline), segments + 1)) if reshape is None else reshape(turn, z)
    x, y = center[0] + radius * scale * np.cos(turn), center[1] + radius * scale * np.sin(turn)
    return sheet(np.stack([x, y, np.broadcast_to(z, x.shape)], axis=2), material, texels_per_m=texels_per_m)


def block(
    low: tuple[float, float, float], high: tuple[float, float, float], material: Material, *, texels_per_m: float
) -> list[Patch]:
    """Return the four sides and the top of a box with upright walls."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    ring = _resampled(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], np.float64), 0.25)
    z = np.linspace(z1, z0, max(6, round((z1 - z0) / 0.25)))
    walls = np.dstack(
        [np.broadcast_to(ring[None], (len(z), *ring.shape)), np.broadcast_to(z[:, None], (len(z), len(ring)))]
    )
    return [
        sheet(walls, material, texels_per_m=texels_per_m),
        level(x0, y0, x1, y1, z1, material, texels_per_m=texels_per_m, step_m=0.25),
    ]


def level(
    x0: float, y0: float, x1: float, y1: float, z: float, material: Material, *, texels_per_m: float, step_m: float
) -> Patch:
    """Return a horizontal rectangle that faces up."""
    x = np.linspace(x0, x1, max(6, round((x1 - x0) / step_m)))
    y = np.linspace(y1, y0, max(6, round((y1 - y0) / step_m)))
    grid_x, grid_y = np.meshgrid(x, y)
    return sheet(np.dstack([grid_x, grid_y, np.full_like(grid_x, z)]), material, texels_per_m=texels_per_m)


def boulder(
    rng: np.random.Generator,
    material: Material,
    *,
    center: tuple[float, float, float],
    size: tuple[float, float, float],
    texels_per_m: float,
    resolution: int = 40,
) -> Patch:
    """Return a rock with broken faces that stands in the ground; ``size`` holds its half axes.

    The grid is a square wrapped over a ball from the top, so the texture has no pole where it is seen.
    """
    a, b = np.meshgrid(np.linspace(-1, 1, resolution), np.linspace(1, -1, resolution))
    disc = np.dstack([a * np.sqrt(1 - b * b / 2), b * np.sqrt(1 - a * a / 2)])
    radius = np.linalg.norm(disc, axis=2)
    polar = radius * np.deg2rad(125)
    ahead = disc / np.maximum(radius, 1e-9)[..., None]
    direction = np.dstack([ahead * np.sin(polar)[..., None], np.cos(polar)])
    faces = rng.normal(size=(14, 3))
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    reach = np.maximum(direction @ faces.T, 1e-3)
    cut = (rng.uniform(0.72, 1.0, 14) / reach).min(axis=2)
    waves = rng.normal(size=(6, 3)) * np.array([2, 2, 3, 4, 6, 8])[:, None]
    ripple = np.cos(direction @ waves.T + rng.uniform(0, 6.3, 6)) @ np.array([0.03, 0.03, 0.02, 0.015, 0.01, 0.008])
    shape = np.minimum(cut, 1.15) * (1 + ripple)
    turn = rng.uniform(0, 2 * np.pi)
    spin = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    points = (direction * shape[..., None] * np.asarray(size)) @ spin.T + np.asarray(center)
    return sheet(points, material, texels_per_m=texels_per_m)


def fluted_column(
    at: tuple[float, float],
    bottom: float,
    top: float,
    radius: float,
    material: Material,
    *,
    texels_per_m: float,
    flutes: int = 16,
) -> Patch:
    """Return a column with base, fluted shaft and capital."""
    shaft_low, shaft_high = bottom + 0.75 * radius, top - 0.8 * radius
    profile = [
        (0.0, top),
        (radius * 1.35, top),
        (radius * 1.3, top - radius * 0.3),
        (radius * 0.9, shaft_high),
        (radius, shaft_low),
        (radius * 1.15, shaft_low - 0.1 * radius),
        (radius * 1.32, bottom + 0.35 * radius),
        (radius * 1.32, bottom),
    ]

    def flute(angle: Array, z: Array) -> Array:
        inside = (z > shaft_low + 0.02) & (z < shaft_high - 0.02)
        return 1 - 0.07 * inside * np.abs(np.sin(flutes * angle / 2)) ** 0.7

    return lathe(profile, material, center=at, texels_per_m=texels_per_m, segments=flutes * 6, reshape=flute)


def bush(
    rng: np.random.Generator,
    center: tuple[float, float, float],
    size: float,
    material: Material,
    *,
    texels_per_m: float,
) -> Patch:
    """Return a ball of leaves with a ragged outline."""
    phase = rng.uniform(0, 2 * np.pi, 4)
    polar = np.linspace(0.02, 2.6, 14)
    profile = [(size * float(np.sin(p)), center[2] + size * 1.15 * float(np.cos(p))) for p in polar]

    def ragged(angle: Array, z: Array) -> Array:
        up = (z - center[2]) / size
        wave = np.sin(7 * angle + 5 * up + phase[0]) + np.sin(11 * angle - 9 * up + phase[1])
        return 1 + 0.07 * wave + 0.05 * np.sin(23 * angle + 17 * up + phase[2])

    return lathe(
        profile, material, center=center[:2], texels_per_m=texels_per_m, segments=72, step_m=0.05, reshape=ragged
    )


def _running(lengths: Array) -> Array:
    """Return the running sum of segment lengths, scaled to end at 1."""
    total = np.concatenate([[0.0], np.cumsum(np.maximum(lengths, 1e-6))])
    return total / total[-1]


def _resampled(line: Array, step: float) -> Array:
    """Return the corners of an (N, 2) line with points at most ``step`` apart between them.

    Corners stand twice, a hair apart, so that normals on both sides of an edge stay their own.
    """
    pieces: list[Array] = []
    for start, stop in itertools.pairwise(line):
        length = float(np.linalg.norm(stop - start))
        hair = min(0.004 / max(length, 1e-9), 0.1)
        share = np.linspace(hair, 1 - hair, max(4, int(np.ceil(length / step)) + 1))[:, None]
        pieces.append(start + (stop - start) * share)
    return np.vstack([line[:1], *pieces, line[-1:]])
