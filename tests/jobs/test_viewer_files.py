from reconflow.core.matches import PairSummary
from reconflow.jobs.viewer_files import view_graph_of


def pair(first, second, inliers, *, verified=True):
    return PairSummary(
        first=first, second=second, putative=inliers, inliers=inliers, configuration="CALIBRATED", verified=verified
    )


def test_photos_stand_by_model_and_pairs_name_their_places():
    model_of = {"a": "cluster1_model0", "b": "cluster0_model0", "c": None, "d": "cluster0_model0"}
    graph = view_graph_of(model_of, [pair("b", "d", 80), pair("a", "b", 9)], order=["b", "d", "a"])
    assert graph.photos == ["b", "d", "a", "c"]
    assert graph.clusters == ["cluster0_model0", "cluster0_model0", "cluster1_model0", None]
    assert graph.pairs == [(0, 1, 80), (0, 2, 9)]


def test_pairs_that_do_not_hold_or_name_an_unknown_photo_are_left_out():
    graph = view_graph_of({"a": None, "b": None}, [pair("a", "b", 3, verified=False), pair("a", "gone", 50)])
    assert graph.pairs == []


def test_a_photo_that_stands_in_two_models_is_listed_once():
    graph = view_graph_of({"a": "m0", "b": "m0"}, [pair("b", "a", 5)], order=["a", "b", "a"])
    assert (graph.photos, graph.pairs) == (["a", "b"], [(0, 1, 5)])
