import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.config import SplitConfig
from reconflow.core.matches import PairSummary
from reconflow.core.view_graph import components, view_graph
from reconflow.stages.split import split_scenes


def pair(a: str, b: str, inliers: int = 100, *, verified: bool = True) -> PairSummary:
    return PairSummary(
        first=a, second=b, putative=inliers, inliers=inliers, configuration="CALIBRATED", verified=verified
    )


def clique(names: str, inliers: int = 100) -> list[PairSummary]:
    return [pair(a, b, inliers) for i, a in enumerate(names) for b in names[i + 1 :]]


def scenes_of(names, pairs, **options):
    split = split_scenes(list(names), pairs=pairs, config=SplitConfig(**options))
    return ["".join(scene.images) for scene in split.scenes], split


def test_components_become_scenes_by_falling_size():
    found, split = scenes_of("abcdefgh", clique("fgh") + clique("abcd"))
    assert found == ["abcd", "fgh"]
    assert split.outliers == {"e": "no verified match with any photo"}


def test_pairs_that_are_not_verified_join_nothing():
    found, split = scenes_of("abc", [pair("a", "b"), pair("b", "c", verified=False)])
    assert found == []
    assert split.outliers["a"] == "matches only b: too few for a scene"


def test_a_scene_of_three_survives():
    assert scenes_of("abc", clique("abc"))[0] == ["abc"]


def test_one_weak_pair_does_not_merge_two_strong_scenes():
    found, split = scenes_of("abcdef", clique("abc") + clique("def") + [pair("c", "d", 20)])
    assert found == ["abc", "def"]
    assert split.cut_bridges == (("c", "d", 20),)


def test_many_agreeing_weak_pairs_do_merge_them():
    bridge = [pair("a", "d", 20), pair("b", "e", 20), pair("c", "f", 20)]
    assert scenes_of("abcdef", clique("abc") + clique("def") + bridge)[0] == ["abcdef"]


@pytest.mark.parametrize("one", "adj")
def test_a_photo_that_weakly_matches_many_merges_nothing_whatever_its_name(one):
    own, others = sorted({one, "h", "i"}), sorted(set("abcdefgj") - {one})
    pairs = clique("".join(own)) + clique("".join(others)) + [pair(*sorted((one, other)), 20) for other in others]
    found, _ = scenes_of("abcdefghij", pairs)
    assert found == ["".join(others), "".join(own)]


def test_one_strong_pair_merges_two_scenes():
    assert scenes_of("abcdef", clique("abc") + clique("def") + [pair("c", "d", 300)])[0] == ["abcdef"]


def test_a_photo_that_only_weak_pairs_attach_stays_attached():
    assert scenes_of("abcd", clique("abc") + [pair("c", "d", 16)])[0] == ["abcd"]


def test_a_stray_between_two_scenes_goes_to_the_one_it_shares_more_with():
    between = [pair("c", "x", 30), pair("d", "x", 20)]
    found, split = scenes_of("abcdefx", clique("abc") + clique("def") + between)
    assert found == ["abcx", "def"]
    assert split.cut_bridges == (("d", "x", 20),)


def test_weak_scenes_without_any_strong_pair_are_kept_whole():
    assert scenes_of("abc", clique("abc", 17))[0] == ["abc"]


def test_cutting_can_be_turned_off():
    pairs = clique("abc") + clique("def") + [pair("c", "d", 20)]
    assert scenes_of("abcdef", pairs, cut_weak_bridges=False)[0] == ["abcdef"]


NAMES = "abcdefghij"
PAIRS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 200), st.booleans()).filter(
        lambda p: p[0] < p[1]
    ),
    unique_by=lambda p: p[:2],
)


@given(PAIRS, st.randoms())
def test_every_photo_ends_in_exactly_one_place_whatever_the_order(rows, random):
    pairs = [pair(a, b, n, verified=ok) for a, b, n, ok in rows]
    split = split_scenes(list(NAMES), pairs=pairs, config=SplitConfig())
    placed = [name for scene in split.scenes for name in scene.images] + list(split.outliers)
    assert sorted(placed) == sorted(NAMES)
    random.shuffle(pairs)
    assert split_scenes(list(NAMES), pairs=pairs, config=SplitConfig()) == split


@given(PAIRS)
def test_a_scene_never_joins_photos_that_no_verified_path_connects(rows):
    pairs = [pair(a, b, n, verified=ok) for a, b, n, ok in rows]
    split = split_scenes(list(NAMES), pairs=pairs, config=SplitConfig())
    group_of = {name: i for i, group in enumerate(components(view_graph(NAMES, pairs))) for name in group}
    for scene in split.scenes:
        assert len({group_of[name] for name in scene.images}) == 1
