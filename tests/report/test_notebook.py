from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

from reconflow.report.figures import plot_models
from reconflow.report.notebook import result_html


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen = set()
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.open.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_fragment_is_balanced_and_harmless_and_names_what_is_lost(finished):
    text = result_html(finished.insights)
    tags = Tags(text)
    assert tags.open == []
    assert tags.seen <= {"div", "p", "strong", "table", "tr", "th", "td", "details", "summary", "ul", "li", "bdi"}
    assert "35 of 40 photos" in text
    for fate in finished.insights.lost:
        assert escape(fate.name) in text
    assert "color:" not in text  # inherited, for light and dark alike


def test_a_run_without_a_model_reads_well_too(hopeless):
    text = result_html(hopeless.insights)
    assert "None of 3 photos" in text
    assert "<table" not in text
    assert Tags(text).seen <= {"div", "p", "details", "summary", "ul", "li", "bdi"}


@pytest.fixture(scope="module")
def figure(finished):
    return plot_models(finished.models, max_points=9_000)


def test_a_figure_has_points_and_cameras_of_every_model_within_the_budget(figure, finished):
    assert len(figure.data) == 2 * len(finished.models)
    assert sum(len(trace.x) for trace in figure.data if trace.mode == "markers") <= 9_000
    assert {trace.legendgroup for trace in figure.data} == {model.name for model in finished.models}
    assert [trace.visible for trace in figure.data[:3]] == [True, True, "legendonly"]


def test_frusta_pass_through_the_camera_centres_and_tell_the_name(figure, finished):
    (model,) = [model for model in finished.models if model.name == "cluster1_model0"]
    (trace,) = [t for t in figure.data if t.mode == "lines" and t.legendgroup == model.name]
    drawn = np.column_stack([trace.x, trace.y, trace.z])
    for name, image in model.images.items():
        mine = drawn[[text.startswith(name) for text in trace.text]]
        distances = np.linalg.norm(mine - image.cam_from_world.center_in_world, axis=1)
        assert np.nanmin(distances) < 1e-4
    assert not any("<img" in text for trace in figure.data if trace.text is not None for text in trace.text)


def test_no_model_gives_a_figure_that_says_so():
    figure = plot_models([])
    assert figure.layout.annotations[0].text == "No model was reconstructed"
