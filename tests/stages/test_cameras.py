import pytest

from reconflow.config import IngestConfig
from reconflow.core.images import Exif, ImageRecord
from reconflow.errors import InputError
from reconflow.stages.cameras import assign_cameras

NIKON = Exif(make="NIKON", model="D60", focal_mm=29.0)


def photo(name, exif=NIKON, size=(1600, 1200), focal_px=None):
    return ImageRecord(
        name=name, path="", sha256=name, width=size[0], height=size[1], exif=exif, focal_prior_px=focal_px
    )


def groups(records, sharing="auto"):
    rig = assign_cameras(records, config=IngestConfig(camera_sharing=sharing))
    return [rig.camera_of[record.name] for record in records]


def test_equal_make_model_focal_and_size_share_a_camera():
    assert groups([photo("a"), photo("b")]) == [0, 0]


@pytest.mark.parametrize(
    "other",
    [
        photo("b", Exif(make="NIKON", model="D70", focal_mm=29.0)),
        photo("b", Exif(make="NIKON", model="D60", focal_mm=35.0)),
        photo("b", Exif(make="NIKON", model="D60", focal_mm=29.0, lens="zoom")),
        photo("b", size=(1200, 1600)),
    ],
)
def test_any_difference_makes_a_camera_of_its_own(other):
    assert groups([photo("a"), other]) == [0, 1]


def test_photos_without_exif_do_not_share_by_size_alone():
    assert groups([photo("a", Exif()), photo("b", Exif())]) == [0, 1]


def test_a_zoom_of_unknown_focal_length_is_not_shared():
    exif = Exif(make="NIKON", model="D60")
    assert groups([photo("a", exif), photo("b", exif)]) == [0, 1]


def test_sharing_can_be_forced_or_forbidden():
    records = [photo("x/a"), photo("x/b"), photo("y/c", Exif())]
    assert groups(records, "single") == [0, 0, 0]
    assert groups(records, "per_folder") == [0, 0, 1]
    assert groups(records, "per_image") == [0, 1, 2]


def test_a_forced_camera_of_two_sizes_is_refused_by_name():
    with pytest.raises(InputError, match="different sizes") as caught:
        groups([photo("a"), photo("b", size=(10, 10))], "single")
    assert caught.value.item == "b"


def test_the_focal_length_starts_at_the_prior_or_at_a_multiple_of_the_long_edge():
    rig = assign_cameras([photo("a", focal_px=1500.0), photo("b", Exif())], config=IngestConfig())
    assert rig.camera("a").focal_px == 1500
    assert rig.camera("a").has_prior_focal
    assert rig.camera("b").focal_px == pytest.approx(1.2 * 1600)
    assert not rig.camera("b").has_prior_focal
