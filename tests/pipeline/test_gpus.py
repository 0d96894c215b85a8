"""Which GPUs are ours: on simulated machines, by a driver and a dask-cuda of our own that workers import too."""

import os
import re
import sys
import time

import pytest

from reconflow.cli import main
from reconflow.config import ExecutionConfig
from reconflow.errors import ClusterError, DependencyError
from reconflow.pipeline.cluster import open_client, placement
from reconflow.pipeline.gpus import chosen_gpus, device_here, listed, unused_gpu, visible_gpus
from reconflow.pipeline.staff import Staff
from reconflow.pipeline.worker import on_gpu, threads_beside_gpu


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 3, ("0", "1", "2")),
        ("2,3", 4, ("2", "3")),
        (" 1 , 0 ", 2, ("1", "0")),
        ("", 4, ()),
        ("-1", 4, ()),
        ("NoDevFiles", 4, ()),
        ("0,7,1", 2, ("0",)),
        ("GPU-8932f937,MIG-41b9", 1, ("GPU-8932f937", "MIG-41b9")),
        ("0", 0, ()),
        ("MIG-41b9", 0, ()),
    ],
)
def test_what_may_be_used_is_what_cuda_would_let_us_use(visible, count, names):
    assert listed(visible, count) == names


def test_a_machine_without_a_driver_has_no_gpu(machine):
    machine()
    assert visible_gpus() == ()
    assert device_here(offers_gpu=False) == "cpu"


def test_gpus_a_batch_system_gave_are_used_and_no_others(machine):
    machine(4, visible="2,3")
    assert visible_gpus() == chosen_gpus("auto") == ("2", "3")
    assert chosen_gpus(1) == ("2",)
    assert chosen_gpus(0) == ()
    assert device_here(offers_gpu=True) == "Simulated GPU-2 (3.0 GB)"
    with pytest.raises(ClusterError, match="3 GPUs are wanted and 2 are here"):
        chosen_gpus(3)


@pytest.mark.parametrize(
    ("visible", "wanted", "told"),
    [("", 1, "1 GPU is wanted and none is here"), ("3", 2, "2 GPUs are wanted and 1 is here")],
)
def test_gpus_that_are_not_here_are_counted(machine, visible, wanted, told):
    machine(4, visible=visible)
    with pytest.raises(ClusterError, match=told):
        chosen_gpus(wanted)


@pytest.mark.parametrize(
    ("cuda_of_torch", "told"),
    [("", "is for CPUs only; install one"), ("14.1", r"is for CUDA 14\.1, and the driver of the GPUs knows 13\.0")],
)
def test_gpus_that_torch_cannot_use_are_left_alone_and_asking_for_them_tells_what_to_install(
    machine, cuda_of_torch, told, caplog
):
    machine(2, cuda_of_torch=cuda_of_torch)
    assert chosen_gpus("auto") == chosen_gpus(0) == ()
    assert re.search(f"GPUs are here, and stay unused: the torch installed {told}", caplog.text)
    with pytest.raises(DependencyError, match=f"networks cannot run on the GPUs here: the torch installed {told}"):
        chosen_gpus(1)


def test_a_torch_for_an_older_cuda_of_the_same_generation_will_do(machine):
    machine(2, cuda_of_torch="12.6")
    assert chosen_gpus(2) == chosen_gpus("auto") == ("0", "1")


def test_where_there_is_no_gpu_torch_is_not_asked_for(machine, monkeypatch):
    machine()
    monkeypatch.setattr("reconflow.pipeline.gpus.torch_lacks", lambda: pytest.fail("there is no GPU"))
    assert chosen_gpus("auto") == chosen_gpus(0) == ()


def test_a_worker_whose_gpu_torch_cannot_use_says_so_instead_of_using_a_core(monkeypatch):
    torch = pytest.importorskip("torch")

    def too_old():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040).\nUpdate it.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # there is a GPU, and nothing is known of its use
    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.setattr("reconflow.nets.devices.cuda_of_torch", lambda: "13.0")
    with pytest.raises(DependencyError, match=r"a worker offers a GPU that torch cannot use there: .* 12040\)\.$"):
        on_gpu(offered=True)
    monkeypatch.setattr("reconflow.nets.devices.cuda_of_torch", lambda: "")
    with pytest.raises(DependencyError, match="the torch installed is for CPUs only"):
        on_gpu(offered=True)


def test_networks_run_on_a_gpu_that_torch_can_use_whether_it_is_offered_or_not(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    for available in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=available: there)
        assert on_gpu(offered=False) == available
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert on_gpu(offered=True)


@pytest.mark.parametrize(("gpus", "told"), [(None, "none: the CPU is used"), (4, "2: 2, 3")])
def test_doctor_tells_which_gpus_there_are(machine, gpus, told, capsys):
    machine(gpus, visible="2,3")
    main(["doctor"])
    assert re.search(rf"GPUs through dask-cuda +{told}", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("cuda_of_torch", "trouble", "told"),
    [
        ("", "", ["for CPUs only", "2: 0, 1; they stay unused: the torch installed is for CPUs only"]),
        ("13.0", "no driver", [r"for CUDA 13\.0, not usable here: no driver", "2: 0, 1\n"]),
        ("13.0", "", [r"for CUDA 13\.0, usable here", "2: 0, 1\n"]),
    ],
)
def test_doctor_tells_whether_torch_can_use_them(machine, monkeypatch, cuda_of_torch, trouble, told, capsys):
    machine(2, cuda_of_torch=cuda_of_torch)
    monkeypatch.setattr("reconflow.nets.devices.trouble_with_cuda", lambda: trouble)
    monkeypatch.setenv("COLUMNS", "200")
    main(["doctor"])
    said = capsys.readouterr().out
    for line, words in zip(("torch \\(learned models\\)", "GPUs through dask-cuda"), told, strict=True):
        assert re.search(rf"{line} .*{words}", said)


def test_no_gpu_is_visible_where_none_may_be(machine):
    machine(4, visible="")
    assert visible_gpus() == ()


@pytest.mark.parametrize(("gpus", "cores", "threads"), [(1, 16, 16), (8, 128, 16), (4, 2, 1), (0, 16, 4)])
def test_beside_a_gpu_work_as_many_threads_as_its_share_of_the_cores(machine, monkeypatch, gpus, cores, threads):
    machine(gpus)
    monkeypatch.setattr("reconflow.pipeline.worker.available_cores", lambda: cores)
    assert threads_beside_gpu(ExecutionConfig(), gpu=True) == threads
    assert threads_beside_gpu(ExecutionConfig(threads_beside_gpu=3), gpu=True) == 3
    assert threads_beside_gpu(ExecutionConfig(threads_beside_gpu=3), gpu=False) == 0


def test_without_dask_cuda_a_person_is_believed(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert chosen_gpus("auto") == ()
    assert chosen_gpus(2) == ("2", "3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert chosen_gpus(2) == ("0", "1")
    with pytest.raises(DependencyError, match="cuda13"):
        open_client(gpus=1)


def _seen(dask_worker):
    return dask_worker.state.total_resources, os.environ.get("CUDA_VISIBLE_DEVICES")


def device_of(client, timeout_s=60):
    staff, deadline = Staff(client), time.monotonic() + timeout_s
    while not (device := staff.device(client.scheduler_info(n_workers=-1)["workers"])):
        assert time.monotonic() < deadline, staff.lacking
        time.sleep(0.02)
    return device


@pytest.mark.parametrize(
    ("visible", "seen", "device"),
    [
        ("2,3", {"2,3", "3,2"}, r"Simulated GPU-2 \(3\.0 GB\)|Simulated GPU-3 \(4\.0 GB\)"),
        ("MIG-7,MIG-8", {"MIG-7,MIG-8", "MIG-8,MIG-7"}, r"Simulated MIG-7 \(8\.0 GB\)|Simulated MIG-8 \(9\.0 GB\)"),
    ],
)
def test_a_worker_for_each_gpu_and_cores_that_see_none(machine, visible, seen, device):
    machine(4, visible=visible)
    with open_client(gpus=2, workers=2) as client:
        where = placement(client)
        assert (where.learned, where.learned_slots, where.compute, where.slots) == ({"GPU": 1}, 2, {"CPU": 1}, 2)
        told = list(client.run(_seen).values())
        assert {env for resources, env in told if "GPU" in resources} == seen
        assert {env for resources, env in told if "CPU" in resources} == {""}
        assert re.fullmatch(device, device_of(client))


@pytest.mark.parametrize(
    ("generations", "visible", "precision"), [("8 9", "0,1", "bf16"), ("8 7", "0,1", "fp16"), ("7", "MIG-0", "bf16")]
)
def test_precision_is_what_every_gpu_that_is_offered_has_by_itself(
    machine, monkeypatch, generations, visible, precision
):
    monkeypatch.setenv("SIMULATED_GENERATIONS", generations)
    machine(2, visible=visible)
    with open_client(workers=1) as client:
        assert placement(client).precision == precision


def test_workers_for_cores_see_no_gpu(machine):
    machine(2)
    with open_client(gpus=0, workers=2) as client:
        assert placement(client).precision == "fp32"
        told = list(client.run(_seen).values())
        assert [env for resources, env in told if "CPU" in resources] == ["", ""]
        assert device_of(client) == "cpu"


def test_a_gpu_that_only_torch_sees_is_told(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "pip install 'reconflow[cuda13]'" in unused_gpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert unused_gpu() == ""


def test_a_gpu_that_workers_use_needs_no_word(machine, monkeypatch):
    torch = pytest.importorskip("torch")
    machine(1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert unused_gpu() == ""
