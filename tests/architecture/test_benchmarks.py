import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from kornia.feature import LightGlue

from reconflow.config import load_config
from reconflow.nets.catalogue import weights_named
from reconflow.nets.mast3r.model import Mast3r
from reconflow.world.photos import make_sample

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MACHINE = {"processor": "P", "cores": 2, "platform": "Linux", "python": "3.12", "commit": "c", "versions": {}}
MACHINE["load_at_start"] = 0
CHILD = """\
import time
held = bytearray(150_000_000)
while time.process_time() < 0.6:
    pass
"""


@pytest.fixture
def harness(monkeypatch):
    """The harness's modules, which scripts find beside themselves."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = (
        "readings", "quality_schema", "speed_schema", "schema", "measure", "markdown", "quality_sections",
        "speed_sections", "report",
    )  # fmt: skip
    made = {name: importlib.import_module(name) for name in names}
    yield [made[name] for name in ("schema", "measure", "report")]
    for name in names:
        monkeypatch.delitem(sys.modules, name)


def outcome(score, wall_s, *, registered=8, strays=0):
    reading = {"wall_s": wall_s, "cpu_s": 2 * wall_s, "peak_tree_mb": 900, "peak_process_mb": 500, "exit_code": 0}
    return {
        "registered": registered, "images": 8, "outliers_in_a_scene": strays, "official": score, "strict": score,
        "readings": [reading], "stages_s": {"match": wall_s},
    }  # fmt: skip


def quality(ours, peer, ratio, **more):
    found = {
        "name": "set",
        "reconflow": ours,
        "peer": peer,
        "peer_defaults": None,
        "wall_ratio": ratio,
        "cpu_ratio": ratio,
    }
    return {"kind": "quality", "machine": MACHINE, "arguments": ["set"], "sets": [found]} | more


@pytest.fixture
def write(tmp_path):
    def write(tree):
        path = tmp_path / "result.json"
        path.write_text(json.dumps(tree))
        return path

    return write


def test_every_script_says_what_it_does():
    for path in sorted(BENCHMARKS.glob("*/*.py")):
        done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "usage:" in done.stdout


def test_the_published_page_is_what_the_measurements_say():
    done = subprocess.run([sys.executable, str(BENCHMARKS / "report.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_losses_stand_beside_wins(harness, write):
    schema, _, report = harness
    lost = schema.read_result(write(quality(outcome(80.0, 3.0, registered=6, strays=1), outcome(90.0, 2.0), 1.5)))
    sentences = "\n".join(report.quality_sections.losses(lost.sets))
    for said in (
        "registers more",
        "scores higher (official): 90.00 against 80.00",
        "fewer strays",
        "1.50 times as long",
    ):
        assert said in sentences
    assert sentences in report.page({"r.json": lost}).replace("- **", "**")


def test_a_win_is_no_loss(harness, write):
    schema, _, report = harness
    won = schema.read_result(write(quality(outcome(90.0, 2.0), outcome(80.0, 3.0, registered=6, strays=1), 0.67)))
    assert report.quality_sections.losses(won.sets) == []


def test_seconds_of_a_busy_machine_are_told_to_be_none(harness, write):
    schema, _, report = harness
    said = "The machine was busy: its seconds are no figures."
    for load, is_said in ((4.0, False), (4.1, True)):
        tree = quality(outcome(1.0, 1.0), None, None, machine=MACHINE | {"load_at_start": load})
        assert (said in report.page({"r.json": schema.read_result(write(tree))})) == is_said


@pytest.mark.parametrize(
    ("devices", "busy", "said"),
    [
        (0, None, "| 2 | 3.0 | not run on a GPU |"),
        (1, None, "| 2 | 3.0 | not told |"),
        (1, 0.84, "| 2 | 3.0 | 84% |"),
    ],
)
def test_how_busy_a_gpu_was_is_told_or_that_there_was_none(harness, write, devices, busy, said):
    schema, _, report = harness
    counts = [{"workers": n, "match_s": 6.0 / n, "gpu_busy": busy} for n in (1, 2)]
    tree = {
        "kind": "workers",
        "machine": MACHINE,
        "device": "D",
        "on_a_gpu": "why",
        "devices": devices,
        "photos": 3,
        "pairs": 3,
    }
    tree |= {"combination": "c", "overrides": [], "rounds": 1, "counts": counts, "scale": 2.0}
    page = report.page({"r.json": schema.read_result(write(tree))})
    assert said in page
    assert "Why." in page


@pytest.fixture
def speed(harness):
    """Return a function: the name of a script in ``speed/`` → the script as a module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"speed_{name}", BENCHMARKS / "speed" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where its dataclasses look for it
        spec.loader.exec_module(module)
        loaded.append(spec.name)
        return module

    loaded = []
    yield load
    for name in loaded:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [(None, 2, ("0", "1")), ("2,3", 2, ("2", "3")), ("MIG-7,MIG-8", 1, ("MIG-7",)), ("", 0, ()), ("5", 0, ())],
)
def test_gpus_are_measured_whatever_their_numbers(speed, monkeypatch, visible, count, names):
    workers = speed("workers")
    monkeypatch.setattr(workers.torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert workers.gpus() == names


def test_a_driver_that_does_not_tell_how_busy_a_gpu_is_ends_no_measurement(speed, monkeypatch):
    class NVMLError(Exception):
        pass

    workers = speed("workers")
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError))
    for error in (RuntimeError("device 0 is not visible"), NVMLError("Not Supported")):
        monkeypatch.setattr(workers.torch.cuda, "utilization", Mock(side_effect=error))
        assert workers.busy_now(1) is None
    monkeypatch.setattr(workers.torch.cuda, "utilization", lambda number: 80 + 10 * number)
    assert workers.busy_now(2) == pytest.approx(0.85)


@pytest.mark.parametrize(("threads", "workers", "own"), [(4, 1, 4), (4, 2, 2), (4, 3, 1), (1, 2, 1)])
def test_workers_of_one_device_have_no_more_threads_than_one_worker_has(speed, threads, workers, own):
    config = load_config(overrides=[f"execution.threads_beside_gpu={threads}"])
    assert speed("workers").with_threads_shared(config, by=workers).execution.threads_beside_gpu == own


def test_all_that_measuring_on_a_gpu_lacks_is_told_at_once(harness, monkeypatch, tmp_path):
    ready = importlib.import_module("gpu_ready")
    monkeypatch.setattr(ready, "trouble_with_cuda", lambda: "no NVIDIA driver")
    monkeypatch.setattr(ready.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(ready, "find_weights", lambda weights: None if weights.name == "xfeat" else tmp_path)
    assert ready.lacking() == [
        "torch can use no GPU here: no NVIDIA driver",
        "nothing asks the GPUs' driver: `pip install nvidia-ml-py`",
        "weights are missing: `reconflow weights fetch xfeat`",
    ]
    monkeypatch.setattr(ready, "trouble_with_cuda", lambda: "")
    monkeypatch.setattr(ready.importlib.util, "find_spec", lambda _: "there")
    monkeypatch.setattr(ready, "find_weights", lambda _: tmp_path)
    assert ready.lacking() == []


def test_kornia_is_measured_as_it_makes_its_network_by_itself(speed):
    plain = LightGlue(None, input_dim=64, descriptor_dim=96, n_layers=2, num_heads=1, flash=False)
    made = speed("lightglue").with_flash(plain)
    assert made.conf.flash
    assert all(layer.self_attn.inner_attn.allow_flash for layer in made.transformers)
    assert vars(made.conf) | {"flash": False} == vars(plain.conf)
    torch.testing.assert_close(made.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert not made.training


def test_the_usual_way_runs_in_tf32_and_nothing_else_does(speed, small_weights, monkeypatch):
    mast3r, seen = speed("mast3r"), []
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    plain_decode, plain_match = Mast3r.decode, mast3r.reciprocal_matches

    def noted(plain):
        def call(*arguments, **options):
            seen.append([backend.allow_tf32 for backend in backends])
            return plain(*arguments, **options)

        return call

    monkeypatch.setattr(Mast3r, "decode", noted(plain_decode))
    monkeypatch.setattr(mast3r, "reciprocal_matches", noted(plain_match))
    mast3r.one_by_one([mast3r.noise_photo(seed=seed) for seed in (0, 1)], small_weights, long_edge_px=64)
    assert seen == [[True, True], before] * 2
    assert before != [True, True]


@pytest.mark.parametrize(("on_a_gpu", "said"), [("measured on a GPU", "TF32"), ("not run on a GPU: none", "fp32")])
def test_the_usual_way_is_told_with_how_exactly_it_multiplies(harness, write, on_a_gpu, said):
    side = {"wall_ms": 1.0, "cpu_ms": 1.0, "matches": 3.0}
    tree = {"kind": "dense", "machine": MACHINE, "device": "D", "on_a_gpu": on_a_gpu, "weights": "w", "photos": 2}
    tree |= {"pairs": 1, "long_edge_px": 64, "precision": "auto", "rounds": 1, "ours": side, "usual": side}
    tree |= {"wall_ratio": 1.0, "cpu_ratio": 1.0, "usual_matches_kept": 1.0}
    assert f"| pair by pair, {said}, encoded anew |" in harness[2].page({"r.json": harness[0].read_result(write(tree))})


@pytest.mark.parametrize(
    "tree", [{"kind": "speed"}, {"rows": 3}, quality({}, None, None)], ids=["kind", "rows", "side"]
)
def test_a_result_that_fits_no_struct_is_refused(harness, write, tree):
    with pytest.raises(ValueError, match=r"result\.json"):
        harness[0].read_result(write(tree))


def test_a_result_that_names_a_place_on_a_machine_is_refused(harness, write):
    told = quality(outcome(1.0, 1.0), None, None, arguments=["/" + "data/photos/set"])
    with pytest.raises(ValueError, match="names a place"):
        harness[0].read_result(write(told))


def test_a_measurement_counts_the_work_and_the_memory_of_children(harness, tmp_path):
    _, measure, _ = harness
    parent = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {CHILD!r}]).returncode + 3)"
    reading = measure.measure([sys.executable, "-c", parent], log=tmp_path / "log")
    assert reading.exit_code == 3
    assert 0.6 <= reading.cpu_s < 5
    assert reading.wall_s >= 0.6
    assert reading.peak_tree_mb > reading.peak_process_mb > 150


def test_the_ratio_is_the_median_of_the_turns(harness):
    _, measure, _ = harness

    def readings(*seconds):
        return [measure.Reading(wall_s=s, cpu_s=s, peak_tree_mb=1, peak_process_mb=1, exit_code=0) for s in seconds]

    assert measure.median_ratio(readings(1, 9, 2), readings(1, 1, 4), "wall_s") == 1
    assert measure.median_ratio(readings(1), [], "wall_s") is None


@pytest.mark.slow
def test_matchers_that_read_encodings_are_measured_on_pairs_too(harness, small_weights, tmp_path):
    make_sample(
        tmp_path / "data" / "sample", scenes=("courtyard", "temple"), photos_per_scene=3, strays=0, size=(320, 240)
    )
    weights, out = tmp_path / "weights", tmp_path / "pairs.json"
    weights.mkdir()
    shutil.copy(small_weights, weights / weights_named("mast3r").files[0].name)
    command = [sys.executable, str(BENCHMARKS / "quality" / "pairs.py"), str(tmp_path / "data"), "--json", str(out)]
    command += ["--with", "mast3r", "sift+adalam", "--keypoints", "400", "--seed-step", "64"]
    command += ["--true", "2", "--unrelated", "4"]
    environment = os.environ | {"RECONFLOW_WEIGHTS": str(weights), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = {row.combination: row for row in harness[0].read_result(out).rows}
    assert [(row.true_pairs, row.unrelated_pairs) for row in rows.values()] == [(2, 2)] * 2
    assert rows["sift+adalam"].verified_true > 0
    assert rows["mast3r"].unrelated_verified == 0  # what random weights match has no geometry
    assert rows["mast3r"].match_cpu_s_per_pair > 0
