import numpy as np
import pytest

from reconflow.core.cameras import Camera
from reconflow.world.render import depth_map, render
from reconflow.world.scenes import SCENES, build_scene, build_stray, camera_poses

CAMERA = Camera(model="SIMPLE_RADIAL", width=320, height=240, params=(268.0, 160.0, 120.0, -0.04))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCENES))
def test_every_photo_of_a_scene_shows_relief_and_no_camera_stands_in_a_wall(name):
    scene = build_scene(name)
    assert all(np.isfinite(texture).all() and texture.dtype == np.float32 for texture in scene.textures)
    assert all(texture.min() >= 0 for texture in scene.textures)
    for index, pose in enumerate(camera_poses(name, 12)):
        depth = depth_map(scene, CAMERA, pose)
        seen = depth[np.isfinite(depth)]
        assert seen.min() > 1.0
        assert seen.size > 0.5 * depth.size
        assert seen.std() > 0.5
        picture = render(scene, CAMERA, pose, seed=index)
        assert 25 < picture.std() < 90
        assert (picture > 250).mean() < 0.1
        assert (picture < 5).mean() < 0.1


def test_strays_differ_from_each_other():
    pictures = []
    for number in range(2):
        scene, pose = build_stray(number)
        pictures.append(render(scene, CAMERA, pose, seed=0).astype(float))
    assert all(picture.std() > 20 for picture in pictures)
    assert np.abs(pictures[0] - pictures[1]).mean() > 20
