import numpy as np

from reconflow.core.cameras import Pose
from reconflow.core.models import Model, RegisteredImage
from reconflow.stages.submission import submission_rows


def model(name, photos, unregistered=(), x=0.0):
    pose = Pose(np.eye(3), np.array([x, 0, 0]))
    return Model(
        name=name,
        images={
            p: RegisteredImage(name=p, cam_from_world=pose, camera_id=1, observations=9, mean_error_px=0.5)
            for p in photos
        },
        cameras={},
        points=np.zeros((0, 3)),
        colors=np.zeros((0, 3), np.uint8),
        errors_px=np.zeros(0, np.float32),
        track_lengths=np.zeros(0, np.int32),
        unregistered=dict.fromkeys(unregistered, "why"),
    )


def scenes(models, images):
    rows = submission_rows(models, images=images, dataset="d")
    assert [row.image for row in rows] == sorted(images)
    return {row.image: (row.scene, row.cam_from_world is not None) for row in rows}


def test_every_photo_stands_once_in_its_model_or_among_the_outliers():
    found = scenes([model("cluster0_model0", "abc")], list("cabd"))
    assert found == {
        "a": ("cluster0_model0", True),
        "b": ("cluster0_model0", True),
        "c": ("cluster0_model0", True),
        "d": ("outliers", False),
    }


def test_a_photo_in_two_models_belongs_to_the_larger_one():
    rows = submission_rows(
        [model("cluster0_model1", "ab", x=1.0), model("cluster0_model0", "bcd", x=2.0)],
        images=list("abcd"),
        dataset="d",
    )
    (b,) = [row for row in rows if row.image == "b"]
    assert b.scene == "cluster0_model0"
    assert b.cam_from_world.translation[0] == 2.0


def test_a_photo_that_was_not_placed_stands_in_its_scenes_largest_model_without_a_pose():
    models = [model("cluster0_model1", "ab", unregistered="z"), model("cluster0_model0", "cde", unregistered="z")]
    assert scenes(models, list("abcdez"))["z"] == ("cluster0_model0", False)


def test_without_models_every_photo_is_an_outlier():
    assert set(scenes([], list("ab")).values()) == {("outliers", False)}
