from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.config import ExtractConfig, MatchConfig, PipelineConfig, ReconstructConfig, VerifyConfig
from reconflow.core.cameras import Camera
from reconflow.core.images import ImageRecord
from reconflow.store.features import features_namespace
from reconflow.store.geometries import geometries_namespace, pair_key, view_key
from reconflow.store.keys import fingerprint

SECTIONS = [type(getattr(PipelineConfig(), f.name)) for f in msgspec.structs.fields(PipelineConfig)]
FIELDS = [(section, field.name) for section in SECTIONS for field in msgspec.structs.fields(section)]


def others(old: Any) -> list[Any]:
    if isinstance(old, bool):
        return [not old]
    if isinstance(old, int):
        return [old + 1]
    if isinstance(old, float):
        return [old * 0.9, 0.5]
    return ["per_image", "PINHOLE", "global", "fp32", "other"]


def changed(section: type[msgspec.Struct], name: str) -> msgspec.Struct:
    """Return the section's defaults with one field moved to another valid value."""
    old = getattr(section(), name)
    for value in others(old):
        try:
            other = msgspec.convert(msgspec.to_builtins(section()) | {name: value}, section)
        except msgspec.ValidationError:
            continue
        if getattr(other, name) != old:
            return other
    raise AssertionError(f"no other value found for {section.__name__}.{name}")


@pytest.mark.parametrize(("section", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_option_is_part_of_its_sections_key(section, name):
    assert fingerprint(changed(section, name)) != fingerprint(section())


@pytest.mark.parametrize("name", [f.name for f in msgspec.structs.fields(ExtractConfig)])
def test_every_extract_option_changes_the_features_namespace(name):
    before = features_namespace(ExtractConfig(), made_with="")
    assert features_namespace(changed(ExtractConfig, name), made_with="") != before


def test_another_version_of_the_extractor_changes_the_features_namespace():
    assert features_namespace(ExtractConfig(), made_with="a") != features_namespace(ExtractConfig(), made_with="b")


@pytest.mark.parametrize("part", ["match", "verify", "features", "made_with"])
def test_everything_before_a_pair_changes_its_namespace(part):
    base = {"match": MatchConfig(), "verify": VerifyConfig(), "features": "f", "made_with": "w"}
    other = base | {
        part: {
            "match": MatchConfig(ratio=0.7),
            "verify": VerifyConfig(seed=1),
            "features": "g",
            "made_with": "v",
        }[part]
    }

    def name(parts):
        return geometries_namespace(
            parts["match"], parts["verify"], features=parts["features"], made_with=parts["made_with"]
        )

    assert name(base) != name(other)


def test_the_camera_of_a_photo_is_part_of_its_pairs_keys():
    record = ImageRecord(name="a", path="a", sha256="00", width=640, height=480)
    cameras = [Camera.from_focal("SIMPLE_RADIAL", 640, 480, f, prior=True) for f in (500.0, 501.0)]
    first, second = (view_key(record, camera) for camera in cameras)
    assert pair_key(first, "x") != pair_key(second, "x")


def test_a_structs_class_counts_and_not_only_its_fields():
    class A(msgspec.Struct):
        x: int = 1

    class B(msgspec.Struct):
        x: int = 1

    assert fingerprint(A()) != fingerprint(B())


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_two_lists_of_parts_share_a_key_only_when_equal(a, b):
    assert (fingerprint(*a) == fingerprint(*b)) == (a == b)


def test_keys_do_not_depend_on_the_order_of_a_dictionary():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_reconstruct_options_do_not_touch_features_or_pairs():
    fields = {f.name for f in msgspec.structs.fields(ReconstructConfig)}
    assert fields.isdisjoint({"max_keypoints", "ratio"})
