import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from reconflow.cli import main


def write_scene(folder, *, seed, n=6, share=1.0):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(n):
        coarse = Image.fromarray(rng.integers(40, 200, (30, 40, 3), np.uint8))
        pixels = np.asarray(coarse.resize((320, 240), Image.Resampling.BICUBIC)) * share
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def baseline(tmp_path):
    folders = [write_scene(tmp_path / f"scene{seed}", seed=seed) for seed in range(5)]
    file = tmp_path / "baseline.json"
    assert main(["drift", "baseline", *map(str, folders), "--out", str(file)]) == 0
    return file


def test_usual_photos_end_with_zero_and_dark_ones_with_one(baseline, tmp_path, capsys):
    usual = write_scene(tmp_path / "usual", seed=70)
    dark = write_scene(tmp_path / "dark", seed=70, share=0.2)
    assert main(["drift", "check", str(usual), "--baseline", str(baseline)]) == 0
    assert "Drift: low" in capsys.readouterr().out
    assert main(["drift", "check", str(dark), "--baseline", str(baseline)]) == 1
    assert "Drift: high" in capsys.readouterr().out


def test_json_has_the_fields_of_the_contract(baseline, tmp_path, capsys):
    capsys.readouterr()
    dark = write_scene(tmp_path / "dark", seed=70, share=0.2)
    assert main(["drift", "check", str(dark), "--baseline", str(baseline), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["drift_detected"], report["severity"]) == (True, "high")
    fields = {"drift", "severity", "statistic", "value", "threshold", "baseline", "current", "n"}
    assert [set(check) for check in report["checks"].values()] == [fields] * 9


def test_a_zip_is_a_scene_too(baseline, tmp_path):
    with zipfile.ZipFile(tmp_path / "upload.zip", "w") as archive:
        for path in sorted(write_scene(tmp_path / "usual", seed=70).iterdir()):
            archive.write(path, f"deep/{path.name}")
    assert main(["drift", "check", str(tmp_path / "upload.zip"), "--baseline", str(baseline)]) == 0


def test_few_photos_get_a_warning_and_no_verdict(baseline, tmp_path, capsys):
    few = write_scene(tmp_path / "few", seed=70, n=3, share=0.2)
    capsys.readouterr()
    assert main(["drift", "check", str(few), "--baseline", str(baseline)]) == 0
    said = capsys.readouterr().out
    assert "insufficient data" in said
    assert "Drift" not in said


def test_two_scenes_of_one_name_are_refused(tmp_path, capsys):
    (tmp_path / "other").mkdir()
    folders = [write_scene(tmp_path / "scene", seed=0), write_scene(tmp_path / "other" / "scene", seed=1)]
    assert main(["drift", "baseline", *map(str, folders), "--out", str(tmp_path / "b.json")]) == 2
    assert "same name" in capsys.readouterr().err
    assert not (tmp_path / "b.json").exists()


def test_a_missing_baseline_is_said_to_be_missing(tmp_path, capsys):
    photos = write_scene(tmp_path / "scene", seed=0)
    assert main(["drift", "check", str(photos), "--baseline", str(tmp_path / "b.json")]) == 2
    assert "drift baseline" in capsys.readouterr().err
