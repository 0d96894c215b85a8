"""The scenes of the sample: what stands in each, how it is lit and from where it is photographed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reconflow.core.cameras import Pose
from reconflow.world.boulders import boulders_patches
from reconflow.world.courtyard import courtyard_patches
from reconflow.world.meshes import Light, SceneMesh, build_mesh
from reconflow.world.strays import stray_patches
from reconflow.world.surfaces import Patch
from reconflow.world.temple import temple_patches
from reconflow.world.trajectories import arc_poses, flight_poses, look_at


@dataclass(frozen=True)
class SceneRecipe:
    """How a scene is made and photographed."""

    patches: Callable[[np.random.Generator], list[Patch]]
    poses: Callable[[int, np.random.Generator], list[Pose]]
    light: Light
    haze_m: float


def _courtyard_poses(count: int, rng: np.random.Generator) -> list[Pose]:
    half = min(48.0, 5.5 * (count - 1))
    return arc_poses(
        count,
        radius=9.5,
        height=0.0,
        target=(0, 1.8, 2.2),
        from_deg=-90 - half,
        to_deg=-90 + half,
        jitter=0.02,
        rng=rng,
    )


def _temple_poses(count: int, rng: np.random.Generator) -> list[Pose]:
    sweep = 360.0 if count >= 28 else 13.0 * (count - 1)
    return arc_poses(
        count, radius=13.5, height=-0.6, target=(0, 0, 3.4), from_deg=-115, to_deg=-115 + sweep, jitter=0.014, rng=rng
    )


def _boulders_poses(count: int, rng: np.random.Generator) -> list[Pose]:
    return flight_poses(count, height=17.0, spacing=4.4, pitch_deg=62, jitter=0.4, rng=rng)


SCENES: dict[str, SceneRecipe] = {
    "courtyard": SceneRecipe(courtyard_patches, _courtyard_poses, Light((-0.55, -0.75, 0.8)), 220.0),
    "temple": SceneRecipe(temple_patches, _temple_poses, Light((0.35, -0.8, 0.65)), 130.0),
    "boulders": SceneRecipe(boulders_patches, _boulders_poses, Light((-0.75, 0.3, 0.7)), 160.0),
}
"""The scenes there are, by name."""


def build_scene(name: str, *, seed: int = 0) -> SceneMesh:
    """Return a scene of :data:`SCENES`; another seed gives it other stones.

    Raises
    ------
    KeyError
        If there is no such scene.
    DependencyError
        If Open3D, which finds the shadows, cannot be loaded.

    """
    recipe = SCENES[name]
    # The scene's place in the list is part of the seed, so that no two scenes are cut from the same stone.
    rng = np.random.default_rng([seed, 1, list(SCENES).index(name)])
    return build_mesh(name, recipe.patches(rng), light=recipe.light, haze_m=recipe.haze_m, seed=seed)


def camera_poses(name: str, count: int, *, seed: int = 0) -> list[Pose]:
    """Return the poses of ``count`` photos of a scene in the order they are taken, overlapping well."""
    return SCENES[name].poses(count, np.random.default_rng([seed, 2, list(SCENES).index(name)]))


def build_stray(number: int, *, seed: int = 0) -> tuple[SceneMesh, Pose]:
    """Return a small scene of its own, like no other, and the one photo taken of it."""
    rng = np.random.default_rng([seed, 3, number])
    turn = float(rng.uniform(0.3, 1.2)) * float(rng.choice([-1, 1]))
    light = Light((turn, -0.8, float(rng.uniform(0.5, 0.9))))
    mesh = build_mesh(f"stray{number}", stray_patches(rng, number), light=light, haze_m=150.0, seed=seed)
    eye = (float(rng.uniform(-1.8, 1.8)), float(rng.uniform(-6.8, -5.8)), float(rng.uniform(1.4, 2.4)))
    return mesh, look_at(eye, (0.0, 0.0, float(rng.uniform(0.9, 1.4))), roll_deg=float(rng.normal(0, 1)))
