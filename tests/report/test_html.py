import base64
import io
import json
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from PIL import Image

from reconflow.core.clouds import PointCloud
from reconflow.errors import OutputError
from reconflow.report import html as report
from reconflow.report.html import write_report

URL_ATTRIBUTES = {"src", "href", "action", "data", "poster", "srcset", "formaction", "xlink:href", "background"}


class Page(HTMLParser):
    """Elements of a page, as a browser's parser would find them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.scripts = {}
        self.rows = {}
        self._script = None
        self._row = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "script":
            self._script = attributes.get("id", "code")
        if tag == "tr" and "data-row" in attributes:
            self._row = int(attributes["data-row"])
            self.rows[self._row] = ""

    def handle_endtag(self, tag):
        self._script = None if tag == "script" else self._script
        self._row = None if tag == "tr" else self._row

    def handle_data(self, data):
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        if self._row is not None:
            self.rows[self._row] += data + "\n"


def text_of(path, run, title="Old town"):
    write_report(
        path,
        insights=run.insights,
        models=run.models,
        clouds=run.clouds,
        thumbnails=run.thumbnails,
        pairs=run.pairs,
        title=title,
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(finished, tmp_path_factory):
    return text_of(tmp_path_factory.mktemp("report") / "report.html", finished, title="<i>Old</i> & </title> town")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def data(page):
    return json.loads(page.scripts["report-data"])


def test_the_page_loads_nothing_from_anywhere(text, page):
    assert {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base"} == set()
    for _, attributes in page.elements:
        for name in URL_ATTRIBUTES & attributes.keys():
            assert attributes[name].startswith("#")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", page.scripts["code"])
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    # The name of SVG's namespace is no address that anything is loaded from.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    (policy,) = [a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy


def test_names_that_are_markup_stay_text(text, page):
    # Written here as a browser would find them: any element or handler beyond our own would show.
    assert [a for _, a in page.elements if any(name.startswith("on") for name in a)] == []
    assert sum(tag == "svg" for tag, _ in page.elements) == 1  # the mark in the header
    assert [a for tag, a in page.elements if tag == "img" and "data-photo" not in a] == []
    assert sorted(page.scripts) == ["cloud-0", "cloud-1", "cloud-2", "cloud-3", "code", "report-data"]
    assert "<i>Old</i>" not in text
    assert "&lt;i&gt;Old&lt;/i&gt; &amp; &lt;/title&gt; town" in text


def test_the_data_hold_no_angle_bracket(page):
    assert not set("<>&") & set(page.scripts["report-data"])


def test_every_file_of_the_input_has_exactly_one_row(page, finished):
    names = [fate.name for fate in finished.insights.images]
    assert sorted(page.rows) == list(range(len(names)))
    for number, name in enumerate(names):
        assert name in page.rows[number]


def test_every_lost_photo_stands_with_its_reason(page, finished):
    numbers = {fate.name: number for number, fate in enumerate(finished.insights.images)}
    assert len(finished.insights.lost) == 6
    for fate in finished.insights.lost:
        assert fate.reason in page.rows[numbers[fate.name]]


def test_the_data_are_those_of_the_run(data, finished):
    assert [photo["name"] for photo in data["photos"]] == [fate.name for fate in finished.insights.images]
    assert [scene["name"] for scene in data["scenes"]] == [model.name for model in finished.insights.models]
    assert len(data["pairs"]) == 5 * len(finished.pairs)
    for number, scene in enumerate(data["scenes"]):
        (model,) = [model for model in finished.models if model.name == scene["name"]]
        assert sorted(data["photos"][camera[0]]["name"] for camera in scene["cameras"]) == sorted(model.images), number
    first = finished.insights.images[0].name
    assert base64.b64decode(data["thumbs"][0]) == finished.thumbnails[first]


def test_points_and_colours_survive_the_encoding(page, data):
    for number, scene in enumerate(data["scenes"]):
        content = base64.b64decode(page.scripts[f"cloud-{number}"])
        assert len(content) == 15 * scene["count"]
        points = np.frombuffer(content, "<f4", 3 * scene["count"]).reshape(-1, 3)
        assert np.abs(points).max() < 3


def test_the_matrix_orders_readable_photos_by_cluster_and_leaves_the_unreadable_out(data):
    clusters = [data["photos"][number]["cluster"] for number in data["order"]]
    known = [cluster for cluster in clusters if cluster is not None]
    assert known == sorted(known)
    assert clusters == known + [None] * 4
    assert len(set(data["order"])) == len(data["photos"]) - 1


def test_the_same_run_writes_the_same_bytes(finished, tmp_path):
    assert text_of(tmp_path / "one.html", finished) == text_of(tmp_path / "two.html", finished)


def test_a_run_without_a_model_says_so_and_shows_no_viewer(hopeless, tmp_path):
    page = Page(text_of(tmp_path / "report.html", hopeless))
    assert "view" not in [a.get("id") for _, a in page.elements]
    assert "No model" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page.rows) == 3


def test_a_million_points_are_thinned_to_the_budget(finished, tmp_path):
    rng = np.random.default_rng(0)
    million = PointCloud(rng.normal(size=(1_000_000, 3)), rng.integers(0, 256, (1_000_000, 3)).astype(np.uint8))
    path = tmp_path / "report.html"
    write_report(
        path, insights=finished.insights, models=finished.models, clouds={"cluster0_model0": million}, title="large"
    )
    assert path.stat().st_size < 4_000_000
    data = json.loads(Page(path.read_text(encoding="utf-8")).scripts["report-data"])
    assert sum(scene["count"] for scene in data["scenes"]) <= report.MAX_POINTS
    assert data["scenes"][0]["count"] > 100_000
    assert data["scenes"][0]["total"] == 1_000_000


def test_a_thousand_photos_and_all_their_pairs_leave_room_for_the_points(finished, tmp_path):
    fate = finished.insights.images[0]
    names = [f"{i:04d}.jpg" for i in range(1000)]
    images = tuple(msgspec.structs.replace(fate, name=name) for name in names)
    pair = next(pair for pair in finished.pairs if pair.verified)
    pairs = [msgspec.structs.replace(pair, first=a, second=b) for a in names[:60] for b in names[60:]]
    out = io.BytesIO()
    Image.effect_noise((160, 120), 60).save(out, "JPEG", quality=78)
    path = tmp_path / "report.html"
    write_report(
        path,
        insights=msgspec.structs.replace(finished.insights, images=images, weak_links=()),
        models=[],
        thumbnails=dict.fromkeys(names, out.getvalue()),
        pairs=pairs,
        title="large",
    )
    assert len(pairs) > 2 * report.MAX_PAIRS
    points_at_most = report.MAX_POINTS * 15 * 4 / 3
    assert path.stat().st_size + points_at_most < 8_000_000


def test_too_many_pairs_keep_the_verified_ones(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_PAIRS", 200)
    data = json.loads(Page(text_of(tmp_path / "report.html", finished)).scripts["report-data"])
    rows = np.array(data["pairs"]).reshape(-1, 5)
    assert len(rows) == 200
    assert (rows[:, 4] == 0).sum() == finished.insights.n_verified_pairs


def test_a_place_that_cannot_be_written_is_an_error_of_ours(hopeless, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "r.html", insights=hopeless.insights, models=[], title="t")
    assert list(tmp_path.iterdir()) == []
