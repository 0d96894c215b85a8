import csv
import json

import pytest

from reconflow.config import PipelineConfig, load_config
from reconflow.core.submission import PoseRow, read_poses, write_poses
from reconflow.errors import ClusterError, ConfigError, InputError, StageError, StoreError
from reconflow.jobs.drift import read_baseline
from reconflow.jobs.experiment import (
    CURRENT,
    current_config,
    find_sets,
    plan_trials,
    promote,
    read_grid,
    rebuild_baseline,
    run_experiment,
)
from reconflow.world.photos import make_sample


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    for seed in range(2):
        make_sample(
            folder / f"set{seed}", scenes=("courtyard",), photos_per_scene=6, strays=1, size=(160, 120), seed=seed
        )
    return find_sets([folder])


class Engine:
    """Stands where the pipeline does: the nearer ``match.ratio`` is to ``best``, the more photos it places rightly."""

    def __init__(self, best=0.7, error=None):
        self.best = best
        self.error = error
        self.runs = []

    def __call__(self, labelled, folder, config):
        self.runs.append((labelled.folder.name, config.match.ratio))
        if self.error and config.match.ratio == self.best:
            raise self.error
        rows = read_poses(labelled.truth)
        lost = round(abs(config.match.ratio - self.best) * 20)
        posed = [i for i, row in enumerate(rows) if row.cam_from_world is not None]
        rows = [
            PoseRow(dataset=row.dataset, scene="outliers", image=row.image, cam_from_world=None)
            if i in posed[:lost]
            else row
            for i, row in enumerate(rows)
        ]
        folder.mkdir(parents=True)
        write_poses(rows, folder / "submission.csv")
        return folder / "submission.csv"


GRID = {"match.ratio": [0.7, 0.75, 0.8, 0.85]}


DEFAULTS = PipelineConfig()


def experiment(sets, out, engine, *, grid=GRID, current=DEFAULTS):
    return run_experiment(plan_trials(grid, current), sets, out, reconstruct=engine)


def test_a_grid_is_the_product_of_its_values_and_the_current_configuration_once(tmp_path):
    (tmp_path / "grid.toml").write_text('"verify.max_error_px" = [2.0, 4.0]\n[match]\nratio = [0.7, 0.8]\n')
    trials = plan_trials(read_grid(tmp_path / "grid.toml"), PipelineConfig())
    names = [trial.name for trial in trials]
    assert names == [
        CURRENT,
        "match.ratio=0.7, verify.max_error_px=2.0",
        "match.ratio=0.7, verify.max_error_px=4.0",
        "match.ratio=0.8, verify.max_error_px=2.0",
    ]
    assert trials[1].config == load_config(overrides=["match.ratio=0.7", "verify.max_error_px=2.0"])


def test_the_rest_of_the_current_configuration_is_kept():
    current = load_config(overrides=["extract.max_keypoints=1000"])
    assert {trial.config.extract.max_keypoints for trial in plan_trials(GRID, current)} == {1000}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("match.ratio = 0.8", "list of values"),
        ("match.ratio = []", "list of values"),
        ("ratio = [1]", "list of values"),
        ("[match\n", "not valid TOML"),
    ],
)
def test_a_bad_grid_is_refused_with_a_sentence(tmp_path, text, sentence):
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_grid(tmp_path / "grid.toml")


@pytest.mark.parametrize("grid", [{"match.ratios": [0.8]}, {"match.ratio": [7]}, {"mach.ratio": [0.8]}])
def test_an_option_that_does_not_exist_or_fit_is_found_before_anything_runs(grid):
    with pytest.raises(ConfigError, match=r"did you mean match|0\.1 to 1\.0"):
        plan_trials(grid, PipelineConfig())


def test_a_grid_without_end_is_refused():
    with pytest.raises(ConfigError, match="leave some values out"):
        plan_trials({"verify.seed": range(2000)}, PipelineConfig())


def test_a_folder_without_truth_is_no_set(tmp_path, sets):
    with pytest.raises(InputError, match="no labelled set"):
        find_sets([tmp_path])
    with pytest.raises(InputError, match="two sets"):
        find_sets([sets[0].folder, sets[0].folder])


def test_the_best_configuration_is_promoted_and_can_be_loaded(sets, tmp_path):
    found = experiment(sets, tmp_path / "out", Engine(best=0.7))
    assert [standing.trial for standing in found.standings[:2]] == ["match.ratio=0.7", "match.ratio=0.75"]
    assert found.best.mean_score > found.current.mean_score
    assert promote(found, tmp_path / "reconflow.toml")
    assert load_config(tmp_path / "reconflow.toml") == load_config(overrides=["match.ratio=0.7"])
    again = load_config(base=tmp_path / "reconflow.toml", preset="fast")
    assert again == load_config(preset="fast", overrides=["match.ratio=0.7"])


@pytest.mark.parametrize("best", [0.8, 0.9])
def test_a_worse_or_equal_configuration_is_never_promoted(sets, tmp_path, best):
    file = tmp_path / "reconflow.toml"
    file.write_text("[match]\nratio = 0.8\n")
    grid = {"match.ratio": [0.7, 0.75]} if best == 0.9 else {"match.ratio": [0.8], "verify.seed": [1, 2]}
    found = experiment(sets, tmp_path / "out", Engine(best), grid=grid, current=current_config(file))
    assert not promote(found, file)
    assert file.read_text() == "[match]\nratio = 0.8\n"


def test_the_current_configuration_is_written_where_there_is_no_file(sets, tmp_path):
    found = experiment(sets, tmp_path / "out", Engine(best=0.8))
    assert not promote(found, tmp_path / "reconflow.toml")
    assert load_config(tmp_path / "reconflow.toml") == PipelineConfig()


def test_what_was_run_is_not_run_again(sets, tmp_path):
    first = experiment(sets, tmp_path, Engine())
    again, more = Engine(), Engine()
    assert experiment(sets, tmp_path, again) == first
    assert again.runs == []
    experiment(sets, tmp_path, more, grid={"match.ratio": [0.7, 0.65]})
    assert more.runs == [("set0", 0.65), ("set1", 0.65)]


def test_how_work_is_cut_does_not_make_another_result(sets, tmp_path):
    experiment(sets, tmp_path, Engine(), grid={})
    engine = Engine()
    experiment(sets, tmp_path, engine, grid={}, current=load_config(overrides=["execution.images_per_tile=3"]))
    assert engine.runs == []


def test_a_changed_truth_is_another_set(sets, tmp_path):
    folder = make_sample(
        tmp_path / "own", scenes=("courtyard",), photos_per_scene=4, strays=0, size=(64, 48), seed=5
    ).folder
    experiment(find_sets([folder]), tmp_path / "out", Engine(), grid={})
    thresholds = folder / "thresholds.csv"
    thresholds.write_text(thresholds.read_text().replace("thresholds\n", "thresholds\n", 1) + "\n")
    engine = Engine()
    experiment(find_sets([folder]), tmp_path / "out", engine, grid={})
    assert len(engine.runs) == 1


def test_an_experiment_that_was_stopped_goes_on(sets, tmp_path):
    with pytest.raises(ClusterError):
        experiment(sets, tmp_path, Engine(best=0.75, error=ClusterError("gone")))
    engine = Engine(best=0.75)
    experiment(sets, tmp_path, engine)
    assert engine.runs == [("set0", 0.75), ("set1", 0.75), ("set0", 0.85), ("set1", 0.85)]


def test_a_configuration_whose_run_fails_counts_as_nothing_and_is_not_promoted(sets, tmp_path):
    found = experiment(sets, tmp_path / "out", Engine(best=0.7, error=StageError("no model")))
    failed = [result for result in found.results if result.error]
    assert {(result.trial, result.score, result.error) for result in failed} == {("match.ratio=0.7", 0, "no model")}
    assert {s.trial: s.mean_score for s in found.standings}["match.ratio=0.7"] == 0
    assert found.best.trial == "match.ratio=0.75"


def test_results_are_written_as_csv_and_json(sets, tmp_path):
    found = experiment(sets, tmp_path, Engine())
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["trial"], row["set"], float(row["score"])) for row in rows] == [
        (result.trial, result.set, result.score) for result in found.results
    ]
    tree = json.loads((tmp_path / "results.json").read_text())
    assert [standing["trial"] for standing in tree["standings"]] == [s.trial for s in found.standings]


def test_a_damaged_result_is_said_to_be_one(sets, tmp_path):
    experiment(sets, tmp_path, Engine(), grid={})
    next((tmp_path / "results").iterdir()).write_text("{")
    with pytest.raises(StoreError, match="remove it"):
        experiment(sets, tmp_path, Engine(), grid={})


def test_the_baseline_holds_the_scenes_without_strays(sets, tmp_path):
    assert rebuild_baseline(sets, tmp_path / "baseline.json") == 2
    baseline = read_baseline(tmp_path / "baseline.json")
    assert {name: scene.n for name, scene in baseline.scenes.items()} == {"set0/courtyard": 6, "set1/courtyard": 6}
