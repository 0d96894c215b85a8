import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from reconflow.cli import main
from reconflow.world.photos import make_sample


def reconflow(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "reconflow.cli", *map(str, arguments)], capture_output=True, text=True, timeout=240
    )


def noise(folder, count):
    folder.mkdir(exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("cli"), scenes=("courtyard",), photos_per_scene=5, strays=0, size=(640, 480)
    )


@pytest.mark.parametrize(
    "command", [[], ["run"], ["serve"], ["evaluate"], ["drift"], ["experiment"], ["demo"], ["doctor"], ["work"]]
)
def test_help_explains_every_command(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: reconflow" in capsys.readouterr().out


def test_a_run_prints_its_models_and_ends_with_zero(photos, tmp_path):
    done = reconflow("run", photos.images, "--out", tmp_path / "out", "--set", "extract.max_keypoints=2000")
    assert done.returncode == 0, done.stderr
    assert "5 of 5 photos placed in 1 model," in done.stdout
    assert "Traceback" not in done.stderr
    again = reconflow("run", photos.images, "--out", tmp_path / "out", "--set", "extract.max_keypoints=2000")
    assert "5 reused" in again.stdout
    config = reconflow("run", photos.images, "--out", tmp_path / "out", "--config", tmp_path / "out" / "run.toml")
    assert "10 reused" in config.stdout
    scored = reconflow(
        "evaluate", "--truth", photos.folder / "truth.csv", "--submission", tmp_path / "out/submission.csv", "--json"
    )
    assert scored.returncode == 2  # the run was named after its folder, not after the truth's data set
    assert "images" in scored.stderr or "sample" in scored.stderr


def test_nothing_to_reconstruct_ends_with_one_and_a_report(tmp_path):
    done = reconflow("run", noise(tmp_path / "noise", 4), "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "Nothing could be reconstructed" in done.stdout
    assert len(json.loads((tmp_path / "out" / "report.json").read_text())["images"]) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{missing}"], "does not exist"),
        (["{empty}"], "holds no photo"),
        (["{two}"], "2 readable photos found"),
        (["{text}"], "neither a folder nor a readable ZIP"),
        (["{four}", "--set", "match.ration=1"], "did you mean match.ratio?"),
        (["{four}", "--set", "match.ratio=7"], "ratio must be 0.1 to 1.0"),
        (["{four}", "--config", "{missing}"], "cannot read the configuration"),
        (["{four}", "--out", "/proc/out"], "cannot write to /proc/out"),
        (["{four}", "--set", "extract.extractor=none", "--scheduler", "tcp://127.0.0.1:9"], "unknown extractor"),
        (["{four}", "--scheduler", "tcp://127.0.0.1:9"], "cannot be reached"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_one_sentence_and_exit_code_two(arguments, sentence, tmp_path, capfd):
    places = {"missing": tmp_path / "missing", "empty": tmp_path / "empty", "text": tmp_path / "notes.zip"}
    places["empty"].mkdir()
    places["text"].write_text("no zip")
    places["two"], places["four"] = noise(tmp_path / "two", 2), noise(tmp_path / "four", 4)
    filled = [argument.format(**places) for argument in arguments]
    out = [] if "--out" in filled else ["--out", str(tmp_path / "out")]
    assert main(["run", *filled, *out]) == 2
    errors = capfd.readouterr().err
    assert sentence in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_disk_without_room_for_the_photos_is_a_place_that_cannot_be_written(tmp_path, capfd, monkeypatch):
    packed = shutil.make_archive(str(tmp_path / "photos"), "zip", noise(tmp_path / "photos", 4))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    assert main(["run", packed, "--out", str(tmp_path / "out")]) == 2
    assert "MB of disk space are missing to unpack the photos" in capfd.readouterr().err


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(photos, tmp_path):
    command = [sys.executable, "-m", "reconflow.cli", "run", str(photos.images), "--out", str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "store" / "features").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells all processes of the run
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, 130), errors
    assert "Traceback" not in errors
    assert process.returncode == 0 or "run the same command again" in errors
    assert not list((tmp_path / "out").rglob(".partial*"))
    assert reconflow("run", photos.images, "--out", tmp_path / "out").returncode == 0


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("after_s", [0, 0.2, 0.8])
def test_a_second_ctrl_c_ends_a_run_at_once(after_s, photos, tmp_path):
    command = [sys.executable, "-m", "reconflow.cli", "run", str(photos.images), "--out", str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        deadline = time.monotonic() + 60
        while "Reading" not in process.stdout.readline() and time.monotonic() < deadline:
            pass
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        started = time.monotonic()
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 5
    assert process.returncode in (130, -signal.SIGINT)  # the latter: the first had ended it already
    assert [line.split(".")[0] for line in errors.splitlines()] in (["Stopped at once"], ["Stopped"])
    assert reconflow("run", photos.images, "--out", tmp_path / "out").returncode == 0


def test_doctor_finds_this_machine_in_order(capfd):
    assert main(["doctor"]) == 0
    assert "Open3D" in capfd.readouterr().out


def test_a_preset_whose_weights_are_missing_says_so_and_names_the_next_best(photos, tmp_path, capsys, monkeypatch):
    for name in ("RECONFLOW_WEIGHTS", "RECONFLOW_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("RECONFLOW_OFFLINE", "1")
    assert main(["run", str(photos.images), "--out", str(tmp_path / "out"), "--preset", "best"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for name in ("aliked-n16rot.pth", "superpoint_v1.pth", "MASt3R_ViTLarge"):  # all of them at once
        assert name in said
    assert "the preset `detailed` is the next best" in said
    assert not (tmp_path / "out").exists()  # it is told before a cluster is started
