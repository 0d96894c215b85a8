import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.core.cameras import Camera, Pose
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.models import Model, RegisteredImage
from reconflow.core.scenes import Scene, Split
from reconflow.stages.insights import IMAGE_COLUMNS, Insights, image_table, insights


def photo(name):
    return ImageRecord(name=name, path=f"/photos/{name}", sha256="0" * 64, width=640, height=480, orientation=6)


def pair(first, second, inliers=100):
    verified = inliers > 0
    return PairSummary(
        first=first,
        second=second,
        putative=inliers + 5,
        inliers=inliers,
        configuration="CALIBRATED" if verified else "UNDEFINED",
        verified=verified,
        reason="" if verified else "coarse pass: 1 match",
    )


def model(name, names, *, track_lengths=(2, 3, 4), errors_px=(0.5, 0.5, 0.5), unregistered=None):
    pose = Pose(np.eye(3), np.zeros(3))
    n = len(track_lengths)
    return Model(
        name=name,
        images={
            image: RegisteredImage(name=image, cam_from_world=pose, camera_id=1, observations=40, mean_error_px=0.7)
            for image in names
        },
        cameras={1: Camera.from_focal("SIMPLE_RADIAL", 640, 480, 700.0, prior=False)},
        points=np.zeros((n, 3)),
        colors=np.zeros((n, 3), np.uint8),
        errors_px=np.array(errors_px, np.float32),
        track_lengths=np.array(track_lengths, np.int32),
        unregistered=unregistered or {},
    )


def scenes(*groups, outliers=None):
    return Split(
        scenes=tuple(Scene(id=i, images=tuple(sorted(group))) for i, group in enumerate(groups)),
        outliers=outliers or {},
    )


def told(models, names, *, pairs=(), split=None, unreadable=(), unregistered=None):
    return insights(
        models,
        images=[photo(name) for name in names],
        unreadable=unreadable,
        pairs=pairs,
        split=scenes(names) if split is None else split,
        timings_s={"ingest": 1.0, "extract": 2.5},
        reused={"extract": 3},
        unregistered=unregistered,
    )


def fate_of(facts, name):
    return next(fate for fate in facts.images if fate.name == name)


def test_every_kind_of_fate_is_told_with_its_reason():
    facts = told(
        [model("cluster0_model0", ["a", "b", "c"], unregistered={"d": "9 matches, 15 needed"})],
        ["a", "b", "c", "d", "e", "f"],
        pairs=[pair("a", "b"), pair("b", "c"), pair("c", "d"), pair("e", "f", 0)],
        split=scenes(["a", "b", "c", "d"], outliers={"e": "no verified match with any photo", "f": "too few"}),
        unreadable=[Unreadable(name="broken", reason="is not an image")],
    )
    assert {fate.name: (fate.status, fate.cluster, fate.reason) for fate in facts.images} == {
        "a": ("registered", 0, ""),
        "b": ("registered", 0, ""),
        "c": ("registered", 0, ""),
        "d": ("unregistered", 0, "9 matches, 15 needed"),
        "e": ("outlier", None, "no verified match with any photo"),
        "f": ("outlier", None, "too few"),
        "broken": ("unreadable", None, "is not an image"),
    }
    assert [fate.name for fate in facts.images] == sorted(fate.name for fate in facts.images)
    assert fate_of(facts, "b").verified_neighbours == 2
    assert fate_of(facts, "a").observations == 40
    assert fate_of(facts, "a").mean_reprojection_error_px == pytest.approx(0.7)
    assert (facts.n_images, facts.n_readable, facts.n_registered) == (7, 6, 3)
    assert facts.registration_rate == 0.5
    assert [fate.name for fate in facts.lost] == ["broken", "d", "e", "f"]


def test_a_photo_in_two_models_belongs_to_the_larger_one():
    small, large = model("cluster0_model0", ["a", "b", "c"]), model("cluster0_model1", ["c", "d", "e", "f"])
    for order in ([small, large], [large, small]):
        facts = told(order, list("abcdef"))
        assert fate_of(facts, "c").model == "cluster0_model1"
        assert [summary.name for summary in facts.models] == ["cluster0_model1", "cluster0_model0"]


def test_the_photos_of_a_scene_without_a_model_carry_the_reason_given_or_say_that_it_failed():
    facts = told([], ["a", "b", "c"], unregistered={"a": "the mapper ran out of memory"})
    assert fate_of(facts, "a").reason == "the mapper ran out of memory"
    assert fate_of(facts, "b").reason == "its scene could not be reconstructed"
    assert "Nothing could be reconstructed." in facts.warnings
    assert len(facts.recommendations) >= 1
    assert facts.mean_track_length is None
    assert facts.mean_reprojection_error_px is None


def test_numbers_are_those_of_all_models_together():
    facts = told(
        [
            model("cluster0_model0", ["a", "b", "c"], track_lengths=(2, 2, 12), errors_px=(0.2, 0.4, 0.6)),
            model("cluster1_model0", ["d", "e", "f"], track_lengths=(10,), errors_px=(2.0,)),
        ],
        list("abcdef"),
        split=scenes("abc", "def"),
    )
    assert facts.n_points == 4
    assert facts.mean_track_length == pytest.approx(6.5)
    assert facts.mean_reprojection_error_px == pytest.approx(0.8)
    assert facts.track_length_histogram["2"] == 2
    assert facts.track_length_histogram["10+"] == 2
    assert sum(facts.track_length_histogram.values()) == facts.n_points
    assert facts.models[0].n_observations == 16
    assert facts.models[0].mean_reprojection_error_px == pytest.approx(0.4)


def test_errors_that_were_never_computed_do_not_count():
    facts = told([model("cluster0_model0", list("abc"), errors_px=(-1.0, np.nan, 0.5))], list("abc"))
    assert facts.mean_reprojection_error_px == pytest.approx(0.5)


def clique(names, inliers=100):
    return [pair(a, b, inliers) for i, a in enumerate(names) for b in names[i + 1 :]]


def test_the_one_pair_between_two_groups_is_the_weakest_link():
    names = list("abcdefg")
    facts = told([model("cluster0_model0", names)], names, pairs=[*clique("abcd"), *clique("efg"), pair("d", "e", 31)])
    (link,) = facts.weak_links
    assert (link.first, link.second, link.inliers, link.severs, link.only_link) == ("d", "e", 31, 3, True)
    assert any("between d and e" in text for text in facts.recommendations)


def test_without_such_a_pair_the_weakest_link_is_the_bottleneck():
    names = list("abcdef")
    bridge = [pair("c", "d", 20), pair("b", "e", 18)]
    facts = told([model("cluster0_model0", names)], names, pairs=[*clique("abc"), *clique("def"), *bridge])
    (link,) = facts.weak_links
    assert (link.first, link.second, link.inliers, link.severs, link.only_link) == ("c", "d", 20, 3, False)
    assert any("between c and d" in text for text in facts.recommendations)


def test_a_scene_in_two_models_says_where_to_photograph_to_join_them():
    names = list("abcdef")
    facts = told(
        [model("cluster0_model0", ["a", "b", "c"]), model("cluster0_model1", ["d", "e", "f"])],
        names,
        pairs=[*clique("abc"), *clique("def"), pair("b", "e", 25), pair("a", "f", 80)],
    )
    assert any(text.startswith("Take more photos between a and f") for text in facts.recommendations)


def test_a_run_that_went_well_has_nothing_to_say():
    names = list("abcdefgh")
    facts = told([model("cluster0_model0", names)], names, pairs=clique(names))
    assert facts.warnings == ()
    assert facts.recommendations == ()


def test_the_table_has_a_row_for_every_file_and_a_value_for_every_column():
    facts = told(
        [model("cluster0_model0", ["a", "b", "c"])],
        list("abcd"),
        split=scenes("abc", outliers={"d": "matches nothing"}),
    )
    rows = image_table(facts)
    assert {len(row) for row in rows} == {len(IMAGE_COLUMNS)}
    assert rows[0] == ("a", "registered", 0, 40, 0.7, "")
    assert rows[3] == ("d", "outlier", "", 0, "", "matches nothing")


def test_insights_survive_json():
    names = list("abc")
    facts = told([model("cluster0_model0", names)], names, pairs=clique(names))
    text = msgspec.json.encode(facts)
    assert msgspec.json.decode(text, type=Insights) == facts
    assert json.loads(text)["registration_rate"] == 1.0


@st.composite
def runs(draw):
    count = draw(st.integers(0, 9))
    names = [f"{i}.jpg" for i in range(count)]
    groups = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    members = [[name for name, group in zip(names, groups, strict=True) if group == g] for g in range(3)]
    split = scenes(
        *[m for m in members if m], outliers={n: "alone" for n, g in zip(names, groups, strict=True) if g == 3}
    )
    models = []
    for scene in split.scenes:
        for number in range(draw(st.integers(0, 2))):
            chosen = draw(st.lists(st.sampled_from(scene.images), min_size=1, unique=True))
            models.append(model(f"cluster{scene.id}_model{number}", chosen))
    edges = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    chosen = draw(st.lists(st.sampled_from(edges), unique=True)) if edges else []
    pairs = [pair(a, b, draw(st.integers(0, 60))) for a, b in chosen]
    bad = [Unreadable(name=f"bad{i}", reason="is not an image") for i in range(draw(st.integers(0, 2)))]
    return models, names, pairs, split, bad


@given(runs())
def test_every_file_has_exactly_one_fate_and_the_counts_agree(run):
    models, names, pairs, split, bad = run
    facts = told(models, names, pairs=pairs, split=split, unreadable=bad)
    assert sorted(fate.name for fate in facts.images) == sorted([*names, *(b.name for b in bad)])
    assert facts.n_registered == len({name for m in models for name in m.images})
    assert 0 <= facts.registration_rate <= 1
    assert all((fate.status == "registered") == (fate.reason == "") for fate in facts.images)
    assert all((fate.model is None) == (fate.status != "registered") for fate in facts.images)
    assert msgspec.json.encode(told(models[::-1], names[::-1], pairs=pairs[::-1], split=split, unreadable=bad)) == (
        msgspec.json.encode(facts)
    )


def reachable(start, edges):
    seen, waiting = {start}, [start]
    while waiting:
        at = waiting.pop()
        near = {b if a == at else a for a, b in edges if at in (a, b)} - seen
        seen |= near
        waiting += near
    return seen


@given(runs())
def test_an_only_link_is_exactly_a_pair_whose_removal_disconnects_its_ends(run):
    models, names, pairs, split, _ = run
    facts = told(models, names, pairs=pairs, split=split)
    for scene in split.scenes:
        edges = {(p.first, p.second) for p in pairs if p.verified and {p.first, p.second} <= set(scene.images)}
        cuts = {edge for edge in edges if edge[1] not in reachable(edge[0], edges - {edge})}
        found = [link for link in facts.weak_links if link.cluster == scene.id]
        only = {(link.first, link.second) for link in found if link.only_link}
        assert only <= cuts
        assert len(only) == min(len(cuts), 5)
        for link in found:
            sides = [len(reachable(end, edges - {(link.first, link.second)})) for end in (link.first, link.second)]
            assert link.severs == min(sides) or not link.only_link
