import io

import msgspec
import pytest
from rich.console import Console

from reconflow.core.submission import OUTLIERS, PoseRow
from reconflow.evaluation.imc2025 import score_poses
from reconflow.evaluation.table import render
from reconflow.evaluation.thresholds import AUTOMATIC


def _printed(score, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(score))
    return console.export_text()


@pytest.fixture
def score(make_scene):
    truth = make_scene("a", 8) + make_scene("[red]b[/red]", 8, 1)
    truth.append(PoseRow(dataset="made", scene=OUTLIERS, image="stray.jpg"))
    lost = [msgspec.structs.replace(row, scene=OUTLIERS, cam_from_world=None) for row in truth[8:16]]
    return score_poses(truth, truth[:8] + lost + truth[16:], thresholds=AUTOMATIC)


def test_the_table_shows_every_scene_and_the_final_score(score):
    text = _printed(score, 140)
    assert "100 100 100 100" in text
    assert "none" in text
    assert "0 of 1 outliers" in text
    final = next(line for line in text.splitlines() if "Final" in line)
    assert "50.0" in final
    assert "66.7" in final


def test_names_are_shown_as_they_are_and_not_as_markup(score):
    assert "[red]b[/red]" in _printed(score, 140)


def test_no_figure_is_cut_in_eighty_columns(score):
    text = _printed(score, 80)
    assert "…" not in text
    assert "100 100 100 100" in text
    assert max(len(line) for line in text.splitlines()) <= 80
