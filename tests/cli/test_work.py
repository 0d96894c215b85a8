import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client, get_task_stream

from reconflow.config import load_config
from reconflow.errors import ClusterError, NotReadyError
from reconflow.jobs.ledger import Ledger
from reconflow.jobs.records import User
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.jobs.service import JobService
from reconflow.jobs.settings import load_settings
from reconflow.jobs.states import FINISHED
from reconflow.nets.catalogue import weights_named
from reconflow.pipeline.cluster import placement
from reconflow.pipeline.events import StageAdvanced
from reconflow.pipeline.run import run
from reconflow.world.photos import make_sample


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def torch_on_gpus(monkeypatch):
    """Torch sees the GPUs that workers offer from now on."""
    preloaded = Path(__file__).parents[1] / "pipeline" / "simulated_gpus" / "torch_on_gpus.py"
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", json.dumps([str(preloaded)]))


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler as a person starts one, in a process of its own."""
    file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show", "--scheduler-file", file]
    with start("dask", "scheduler", *options) as process:
        deadline = time.monotonic() + 30
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        yield process, json.loads(file.read_text())["address"]
        process.kill()


@pytest.mark.slow
def test_a_run_uses_workers_that_joined_a_scheduler_from_other_processes(scheduler, tmp_path):
    process, address = scheduler
    photos = make_sample(tmp_path / "photos", scenes=("courtyard",), photos_per_scene=5, strays=0, size=(640, 480))
    with start("reconflow.cli", "work", address, "--workers", 2, "--mapper") as workers:
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "reconflow.cli",
                "run",
                photos.images,
                "--out",
                tmp_path / "out",
                "--scheduler",
                address,
            ],
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert "5 of 5 photos placed" in run.stdout
        process.terminate()
        workers.communicate(timeout=60)  # they end when the scheduler goes away


def _device(_):
    return os.environ.get("CUDA_VISIBLE_DEVICES", "none"), os.getpid()


@pytest.mark.slow
def test_each_gpu_that_is_lent_gets_a_process_that_sees_no_other_and_cores_see_none(scheduler, monkeypatch):
    process, address = scheduler
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")  # as a batch system gives them
    with start("reconflow.cli", "work", address, "--workers", 1, "--gpus", 2, "--mapper") as workers:
        with Client(address) as client:
            client.wait_for_workers(4, timeout=60)
            where = placement(client)
            assert (where.learned, where.learned_slots, where.compute, where.slots) == ({"GPU": 1}, 2, {"CPU": 1}, 1)
            told = client.gather(client.map(_device, range(8), resources=where.learned, pure=False))
            assert {device for device, _ in told} == {"3", "5"}
            assert len({pid for _, pid in told}) == 2
            on_cores = client.gather(client.map(_device, range(4), resources=where.compute, pure=False))
            assert {device for device, _ in on_cores} == {""}
        process.terminate()
        workers.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.usefixtures("torch_on_gpus")
def test_networks_run_on_the_gpus_and_everything_else_on_cores(scheduler, tmp_path, weights):
    process, address = scheduler
    sample = make_sample(tmp_path / "photos", scenes=("courtyard",), photos_per_scene=4, strays=0, size=(480, 360))
    methods = ["extract.extractor=aliked-t16", "match.matcher=adalam", "extract.max_keypoints=1000"]
    config = load_config(overrides=[*methods, "execution.images_per_extract_task=1", "execution.images_per_tile=2"])
    with start("reconflow.cli", "work", address, "--workers", 1, "--gpus", 2, "--mapper") as workers:
        with Client(address) as client:
            client.wait_for_workers(4, timeout=60)
            gpus = {
                name
                for name, one in client.scheduler_info(n_workers=-1)["workers"].items()
                if "GPU" in one["resources"]
            }
            with get_task_stream(client) as stream:
                result = run(sample.images, tmp_path / "out", client=client, config=config)
            ran_on = {}
            for task in stream.data:
                ran_on.setdefault(str(task["key"]).split("-")[0], set()).add(task["worker"])
            assert len(result.clusters[0].images) == 4
            assert ran_on["extract"] == gpus
            assert not ran_on["ingest"] & gpus
            assert not ran_on["match"] & gpus  # AdaLAM is no network
        process.terminate()
        workers.communicate(timeout=60)


@pytest.fixture
def seeded(tmp_path, monkeypatch):
    """A folder of weights for LighterGlue that match nothing, known to all processes of the test."""
    torch = pytest.importorskip("torch")
    from kornia.feature import LightGlue

    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(3)
    network = LightGlue(None, input_dim=64, descriptor_dim=96, n_layers=2, num_heads=1, flash=False)
    torch.save(network.state_dict(), folder / weights_named("lighterglue-xfeat").files[0].name)
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("torch_on_gpus")
def test_tiles_of_networks_are_shared_by_the_gpus_alone(scheduler, tmp_path, seeded, weights):
    process, address = scheduler
    xfeat = weights_named("xfeat").files[0].name
    shutil.copy(next(weights.rglob(xfeat)), seeded / xfeat)
    sample = make_sample(tmp_path / "photos", scenes=("courtyard",), photos_per_scene=6, strays=0, size=(480, 352))
    methods = ["extract.extractor=sift,xfeat", "match.matcher=adalam,lighterglue"]
    cut = ["execution.images_per_tile=2", "extract.max_keypoints=500", "shortlist.turns=false"]
    config = load_config(overrides=[*methods, *cut])
    with start("reconflow.cli", "work", address, "--workers", 1, "--gpus", 2, "--mapper") as workers:
        with Client(address) as client:
            client.wait_for_workers(4, timeout=60)
            described = client.scheduler_info(n_workers=-1)["workers"]
            gpus = {name for name, one in described.items() if "GPU" in one["resources"]}
            with get_task_stream(client) as stream:
                result = run(sample.images, tmp_path / "out", client=client, config=config)
            matched = [task for task in stream.data if str(task["key"]).startswith("match-")]
            assert len(result.clusters[0].images) == 6
            assert len(matched) >= 4
            assert {task["worker"] for task in matched} == gpus
        process.terminate()
        workers.communicate(timeout=60)


def test_nothing_to_lend_is_refused():
    command = [sys.executable, "-m", "reconflow.cli", "work", "tcp://127.0.0.1:9", "--workers", "0", "--gpus", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "something to lend" in done.stderr


@pytest.mark.slow
def test_work_says_when_there_is_no_scheduler():
    done = subprocess.run(
        [sys.executable, "-m", "reconflow.cli", "work", "tcp://127.0.0.1:9", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"},
    )
    assert done.returncode == 2
    assert "cannot be reached: is it running?" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("has_joined", [False, True], ids=["no scheduler yet", "at work"])
def test_ctrl_c_ends_workers_without_a_traceback(has_joined, scheduler):
    address = scheduler[1] if has_joined else "tcp://127.0.0.1:9"
    command = [sys.executable, "-m", "reconflow.cli", "work", address, "--workers", "2", "--mapper"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        said = process.stdout.readline()
        if has_joined:
            with Client(address) as client:
                client.wait_for_workers(3, timeout=60)
        else:
            time.sleep(1)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # a terminal tells all of them
        try:
            said += process.communicate(timeout=30)[0]
        finally:
            process.kill()  # its workers end with it
    assert said.splitlines() == [
        f"2 workers, a mapper for {address}; Ctrl-C ends them",
        "The workers have ended.",
    ]
    assert process.returncode == 0
    assert not psutil.wait_procs(workers, timeout=10)[1]


@pytest.mark.slow
def test_a_run_whose_last_worker_is_gone_says_so_and_goes_on_later(scheduler, tmp_path):
    process, address = scheduler
    sample = make_sample(tmp_path / "photos", scenes=("courtyard",), photos_per_scene=5, strays=0, size=(640, 480))
    options = {"config": load_config(overrides=["extract.max_keypoints=1500", "execution.images_per_tile=2"])}
    lend = ("reconflow.cli", "work", address, "--workers", 1, "--mapper")
    with Client(address) as client:
        with start(*lend) as first:
            client.wait_for_workers(2, timeout=60)

            def hear(event):
                if isinstance(event, StageAdvanced) and event.stage == "match":
                    first.kill()

            started = time.monotonic()
            with pytest.raises(ClusterError, match=r"no worker that offers CPU for \d+ s: start one"):
                run(sample.images, tmp_path / "out", client=client, on_event=hear, patience_s=4, **options)
            assert time.monotonic() - started < 60
        with start(*lend) as second:
            result = run(sample.images, tmp_path / "out", client=client, **options)
            process.terminate()
            second.communicate(timeout=60)
    assert len(result.clusters[0].images) == 5


@pytest.fixture
def service(scheduler, tmp_path):
    """A service on the scheduler, with a runner of its own."""
    settings = load_settings({}, data_dir=tmp_path / "data", scheduler=scheduler[1], lease_s=3, min_free_bytes=1 << 20)
    with Ledger.open(settings.ledger_url) as ledger, RunnerProcess(settings):
        yield JobService(settings, ledger)


def is_ready(service):
    with contextlib.suppress(NotReadyError):
        return service.device() == "cpu"
    return False


def until(condition, timeout_s=120):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_service_whose_workers_are_gone_is_not_ready_and_its_job_waits_for_others(scheduler, service, tmp_path):
    process, address = scheduler
    photos = make_sample(tmp_path / "photos", scenes=("courtyard",), photos_per_scene=5, strays=0, size=(640, 480))
    upload = shutil.make_archive(str(tmp_path / "photos"), "zip", photos.images)
    user = User(user_id="anna", name="anna", role="user", created_at=0.0)
    lend = ("reconflow.cli", "work", address, "--workers", 1, "--mapper")
    with start(*lend) as first:
        until(lambda: is_ready(service))
        job_id = service.accept_upload(user, Path(upload)).job_id
        until(lambda: service.job(user, job_id).stage == "matching")
        first.kill()
        until(lambda: not is_ready(service), timeout_s=20)
        until(lambda: "Waiting for workers: no worker has joined" in service.job(user, job_id).message, timeout_s=5)
    with start(*lend) as second:
        until(lambda: is_ready(service))
        until(lambda: service.job(user, job_id).stage in FINISHED)
        assert (service.job(user, job_id).stage, service.job(user, job_id).attempt) == ("success", 1)
        process.terminate()
        second.communicate(timeout=60)
