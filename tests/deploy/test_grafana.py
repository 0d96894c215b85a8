import json

import pytest


@pytest.fixture(scope="module")
def panels(deploy):
    return json.loads((deploy / "grafana" / "reconflow.json").read_text())["panels"]


def test_every_expression_names_only_documented_metrics(panels, unknown_metrics):
    for panel in panels:
        for target in panel["targets"]:
            assert unknown_metrics(target["expr"]) == set(), panel["title"]


def test_every_documented_metric_is_shown(panels, documented):
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert [name for name in documented if name not in shown] == []


def test_panels_have_ids_of_their_own_and_do_not_overlap(panels):
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_the_data_source_is_left_to_choose(panels):
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
