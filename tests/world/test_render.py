import builtins
import importlib.util
import sys

import numpy as np
import pytest

from reconflow.core.cameras import Camera
from reconflow.errors import DependencyError
from reconflow.world.meshes import Light, SceneMesh, build_mesh
from reconflow.world.projection import project
from reconflow.world.render import depth_map, render
from reconflow.world.surfaces import Patch, lathe, sheet
from reconflow.world.trajectories import look_at

STRAIGHT = Camera(model="SIMPLE_RADIAL", width=320, height=240, params=(300.0, 160.0, 120.0, 0.0))
BENT = Camera(model="SIMPLE_RADIAL", width=320, height=240, params=(300.0, 161.5, 118.0, -0.12))
LIGHT = Light((0.2, -0.5, 0.9))
POSES = [look_at((0.4, -5, 0.5), (0, 0, 0.2)), look_at((-2.5, -4, 1.5), (0.2, 0, 0), roll_deg=8)]


def marked_scene(marks: np.ndarray) -> SceneMesh:
    """A grey wall at y = 0 with white discs of 6 cm radius at (x, z)."""
    density, half = 200, 2.0

    def wall(height: int, width: int) -> np.ndarray:
        x, z = np.meshgrid((np.arange(width) + 0.5) / density - half, half - (np.arange(height) + 0.5) / density)
        near = np.min([np.hypot(x - a, z - b) for a, b in marks], axis=0)
        return np.repeat(np.where(near < 0.06, 1.0, 0.15)[..., None], 3, axis=2).astype(np.float32)

    x, z = np.meshgrid(np.linspace(-half, half, 9), np.linspace(half, -half, 9))
    patch = sheet(np.dstack([x, np.zeros_like(x), z]), wall, texels_per_m=density)
    return build_mesh("marks", [patch], light=LIGHT, haze_m=500.0, seed=0)


MARKS = np.array([(-1.1, 0.7), (0.0, 0.0), (0.9, 0.8), (1.2, -0.75), (-0.8, -0.9)])


@pytest.fixture(scope="module")
def scene() -> SceneMesh:
    return marked_scene(MARKS)


@pytest.mark.parametrize("camera", [STRAIGHT, BENT], ids=["straight", "bent"])
@pytest.mark.parametrize("pose", POSES, ids=["front", "oblique"])
def test_a_mark_lands_where_it_projects_to(scene, camera, pose):
    picture = render(scene, camera, pose, seed=1).astype(float).mean(axis=2)
    points = np.column_stack([MARKS[:, 0], np.zeros(len(MARKS)), MARKS[:, 1]])
    expected = project(camera, points @ pose.rotation.T + pose.translation)
    for x, y in expected:
        left, top = int(x) - 8, int(y) - 8
        window = picture[top : top + 17, left : left + 17]
        weight = np.clip(window - np.median(picture) - 40, 0, None)
        rows, columns = np.mgrid[top : top + 17, left : left + 17] + 0.5
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert np.abs(found - [x, y]).max() < 0.25


def test_depth_is_the_distance_along_the_optical_axis(scene):
    pose = look_at((0.0, -5.0, 0.0), (0.0, 0.0, 0.0))
    depth = depth_map(scene, BENT, pose)
    assert depth.shape == (240, 320)
    assert np.abs(depth[60:180, 80:240] - 5.0).max() < 1e-4


def test_sky_is_where_nothing_stands(scene):
    away = look_at((0, -5, 1), (0, -9, 3))
    assert np.isinf(depth_map(scene, STRAIGHT, away)).all()
    picture = render(scene, STRAIGHT, away, seed=0)
    assert picture[..., 2].mean() > picture[..., 0].mean()


def test_one_seed_makes_one_photo_and_another_develops_it_differently(scene):
    first, again, other = (render(scene, STRAIGHT, POSES[0], seed=seed) for seed in (3, 3, 4))
    assert first.dtype == np.uint8
    assert first.shape == (240, 320, 3)
    assert (first == again).all()
    assert (first != other).mean() > 0.3


def test_the_corners_of_a_photo_are_darker_than_its_middle():
    flat = sheet(
        np.dstack([*np.meshgrid(np.linspace(-9, 9, 5), np.linspace(9, -9, 5)), np.zeros((5, 5))]),
        lambda height, width: np.full((height, width, 3), 0.5, np.float32),
        texels_per_m=10,
    )
    mesh = build_mesh("flat", [flat], light=LIGHT, haze_m=500.0, seed=0)
    picture = render(mesh, STRAIGHT, look_at((0, 0, 6), (0, 0, 0)), seed=0).astype(float)
    assert picture[:20, :20].mean() < picture[110:130, 150:170].mean() - 3


def test_a_fine_pattern_far_away_is_grey_and_not_aliased():
    def stripes(height: int, width: int) -> np.ndarray:
        columns = (np.arange(width) // 2 % 2).astype(np.float32)
        return np.broadcast_to(columns[None, :, None], (height, width, 3)).copy()

    x, z = np.meshgrid(np.linspace(-3, 3, 5), np.linspace(3, -3, 5))
    wall = sheet(np.dstack([x, 0 * x, z]), stripes, texels_per_m=300)
    mesh = build_mesh("stripes", [wall], light=LIGHT, haze_m=500.0, seed=0)
    picture = render(mesh, STRAIGHT, look_at((0.3, -7, 0), (0.3, 0, 0)), seed=0).astype(float)
    assert picture[80:160, 120:200].std() < 6


def test_light_falls_from_above_and_shadows_lie_behind():
    ground = sheet(
        np.dstack([*np.meshgrid(np.linspace(-4, 4, 81), np.linspace(4, -4, 81)), np.zeros((81, 81))]),
        white,
        texels_per_m=20,
    )
    post = lathe([(0.0, 2.0), (0.4, 2.0), (0.4, 0.0)], white, center=(0, 0), texels_per_m=20)
    mesh = build_mesh("post", [ground, post], light=Light((-1.0, 0.0, 1.0)), haze_m=500.0, seed=0)
    floor = mesh.textures[0]
    # 20 texels a metre, y up in the picture: (x, y) = (1.2, 0) lies in the shadow of a sun that stands in the west.
    lit, dark = floor[80, 80 - 24].mean(), floor[80, 80 + 24].mean()
    assert dark < 0.6 * lit


def white(height: int, width: int) -> np.ndarray:
    return np.ones((height, width, 3), np.float32)


def black(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.float32)


def test_sheets_face_outwards():
    x, y = np.meshgrid(np.linspace(0, 1, 4), np.linspace(1, 0, 4))
    floor: Patch = sheet(np.dstack([x, y, 0 * x]), white, texels_per_m=10)
    assert np.allclose(floor.normals(), [0, 0, 1])
    tube = lathe([(1.0, 2.0), (1.0, 0.0)], white, center=(3, 4), texels_per_m=10)
    outward = tube.points[..., :2] - [3, 4]
    assert ((tube.normals()[..., :2] * outward).sum(axis=2) > 0.9).all()


def test_a_missing_open3d_says_what_to_install(scene, monkeypatch):
    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name == "open3d":
            raise OSError("libGL.so.1: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(DependencyError, match=r"libGL.so.1.*apt-get install libusb-1.0-0 libgl1"):
        build_mesh(
            "any",
            [sheet(np.zeros((2, 2, 3)) + np.eye(3)[:2, None], white, texels_per_m=10)],
            light=LIGHT,
            haze_m=9.0,
            seed=0,
        )


def test_the_world_imports_without_open3d():
    import subprocess

    assert importlib.util.find_spec("open3d") is not None
    code = "import sys, reconflow.world.photos; sys.exit('open3d' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def wall(left: float, right: float, material=white) -> Patch:
    x, z = np.meshgrid(np.linspace(left, right, 5), np.linspace(3, -3, 5))
    return sheet(np.dstack([x, 0 * x, z]), material, texels_per_m=10)


def test_a_seam_between_equal_sheets_is_not_seen():
    mesh = build_mesh("two", [wall(-3, 0), wall(0, 3)], light=LIGHT, haze_m=500.0, seed=0)
    picture = render(mesh, STRAIGHT, look_at((0, -4, 0), (0, 0, 0)), seed=0).astype(float)
    column = picture[100:140].mean(axis=(0, 2))
    assert abs(column[158:162].mean() - column[140:180].mean()) < 1.5


def test_an_outline_against_the_sky_is_smooth():
    mesh = build_mesh("edge", [wall(-3, 0, black)], light=LIGHT, haze_m=500.0, seed=0)
    picture = render(mesh, STRAIGHT, look_at((0, -4, 0), (0, 0, 0), roll_deg=6), seed=0).astype(float)[60:180, :, 0]
    dark, bright = picture[:, :100].max(), picture[:, -100:].min()
    between = (picture > dark + 5) & (picture < bright - 5)
    assert 0.5 < between.sum() / len(picture) < 2
