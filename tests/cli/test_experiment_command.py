import importlib.util

import pytest

from reconflow.cli import main
from reconflow.config import load_config
from reconflow.world.photos import make_sample


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of sets and a grid whose values are worse and better than those in use."""
    folder = tmp_path_factory.mktemp("experiment")
    make_sample(folder / "sets" / "yard", scenes=("courtyard",), photos_per_scene=5, strays=0, size=(640, 480))
    (folder / "grid.toml").write_text("[extract]\nmax_keypoints = [100, 2000]\n")
    (folder / "reconflow.toml").write_text("[extract]\nmax_keypoints = 100\n")
    return folder


def arguments(place, *more):
    grid, out = str(place / "grid.toml"), str(place / "out")
    return ["experiment", str(place / "sets"), "--grid", grid, "--out", out, "--workers", "1", *more]


def test_validation_runs_nothing(place, capsys):
    assert main(arguments(place, "--current", str(place / "reconflow.toml"), "--validate")) == 0
    assert "2 configurations on 1 sets" in capsys.readouterr().out
    assert not (place / "out").exists()


@pytest.mark.slow
def test_the_engine_scores_the_grid_and_the_better_settings_are_promoted(place, capsys):
    file = place / "reconflow.toml"
    assert main(arguments(place, "--promote", str(file), "--baseline", str(place / "baseline.json"))) == 0
    assert "Promoted: extract.max_keypoints=2000" in capsys.readouterr().out
    assert load_config(file) == load_config(overrides=["extract.max_keypoints=2000"])
    assert (place / "baseline.json").exists()
    stored = {path: path.stat().st_mtime_ns for path in (place / "out" / "results").iterdir()}
    assert main(arguments(place, "--promote", str(file))) == 0
    assert "settings stay" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (place / "out" / "results").iterdir()} == stored


def test_a_bad_grid_ends_with_two(place, tmp_path, capsys):
    (tmp_path / "grid.toml").write_text("[match]\nratios = [1]\n")
    bad = ["experiment", str(place / "sets"), "--grid", str(tmp_path / "grid.toml"), "--out", str(tmp_path / "out")]
    assert main(bad) == 2
    assert "did you mean match.ratio" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="MLflow is installed")
def test_mlflow_is_asked_for_by_name_where_it_is_missing(place, capsys):
    assert main(arguments(place, "--mlflow")) == 1
    assert "pip install mlflow" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own: it uses what SQLAlchemy is about to drop
def test_mlflow_hears_of_every_configuration(place, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert main(arguments(place, "--mlflow")) == 0
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("reconflow").experiment_id])
    assert {run.data.params["extract.max_keypoints"] for run in runs} == {"100", "2000", "3072"}
    assert all(0 <= run.data.metrics["mean_score"] <= 1 for run in runs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    assert main(arguments(place, "--mlflow")) == 1
