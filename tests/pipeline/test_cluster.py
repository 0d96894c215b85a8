import asyncio
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from reconflow.errors import Cancelled, ClusterError
from reconflow.pipeline import cluster
from reconflow.pipeline.cluster import open_client, place, placement, serve_workers


def worker(threads=1, **resources):
    return {"nthreads": threads, "resources": resources}


def test_plain_workers_take_every_kind_of_task():
    found = place({"a": worker(4), "b": worker(2)})
    assert (found.compute, found.slots, found.mapper) == ({}, 6, 0)


def test_workers_with_resources_are_used_for_what_they_offer():
    found = place({"a": worker(CPU=1), "b": worker(CPU=1), "m": worker(8, MAPPER=8)})
    assert (found.compute, found.slots, found.mapper, found.mapper_threads) == ({"CPU": 1}, 2, 8, 8)


def test_learned_models_go_to_gpus_where_there_are_some():
    cores = {"a": worker(CPU=1), "b": worker(CPU=1), "m": worker(8, MAPPER=8)}
    assert (place(cores).learned, place(cores).learned_slots) == ({"CPU": 1}, 2)
    found = place(cores | {"g": worker(GPU=1), "h": worker(GPU=1), "i": worker(GPU=1)})
    assert (found.learned, found.learned_slots) == ({"GPU": 1}, 3)
    assert (found.compute, found.slots) == ({"CPU": 1}, 2)


@pytest.mark.parametrize(
    ("workers", "missing"),
    [({}, "no worker has joined"), ({"a": worker(CPU=1)}, "MAPPER"), ({"a": worker(MAPPER=1)}, "no worker offers CPU")],
)
def test_a_cluster_that_lacks_a_kind_of_worker_says_which(workers, missing):
    with pytest.raises(ClusterError, match=missing):
        place(workers)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=20))
def test_slots_never_exceed_the_threads_there_are(threads):
    workers = {str(i): worker(n, CPU=n) for i, n in enumerate(threads)} | {"m": worker(1, MAPPER=1)}
    assert place(workers).slots == sum(threads)


def test_a_local_cluster_offers_cores_and_a_mapper_and_closes_with_its_client():
    with open_client(workers=2, gpus=0) as client:
        where = placement(client)
        assert (where.compute, where.slots) == ({"CPU": 1}, 2)
        pids = set(client.run(os.getpid).values())
        assert len(pids - {os.getpid()}) == 2
        assert client.dashboard_link.startswith("http://127.0.0.1")
    for pid in pids - {os.getpid()}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _environment():
    return os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK")


def test_torch_does_not_fix_its_devices_in_a_worker_before_that_has_its_own():
    with open_client(workers=1, gpus=0) as client:
        assert client.submit(_environment, resources={"CPU": 1}).result(timeout=60) == "1"


def test_a_scheduler_that_does_not_answer_is_told_in_seconds():
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9 cannot be reached"):
        open_client("tcp://127.0.0.1:9", timeout_s=2)
    assert time.monotonic() - started < 15


def test_a_local_cluster_that_does_not_start_in_time_is_told_and_closed(monkeypatch):
    def too_slow(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(Client, "wait_for_workers", too_slow)
    before = multiprocessing.active_children()
    with pytest.raises(ClusterError, match="did not start within"):
        open_client(workers=1, gpus=0)
    assert multiprocessing.active_children() == before


def test_waiting_for_workers_ends_with_what_is_missing():
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        pytest.raises(ClusterError, match="no worker has joined"),
    ):
        placement(client, timeout_s=1)


def test_waiting_for_workers_ends_within_a_second_when_the_run_is_cancelled():
    cancelled = threading.Event()
    with LocalCluster(n_workers=0, dashboard_address=":0") as cluster, Client(cluster) as client:
        threading.Timer(1, cancelled.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            placement(client, timeout_s=20, is_cancelled=cancelled.is_set)
        assert time.monotonic() - started < 10


def test_the_dashboard_tells_metrics_at_the_port_that_is_asked_for_or_at_a_free_one(caplog):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with caplog.at_level("INFO", "reconflow"), open_client(workers=1, gpus=0, dashboard=address) as client:
            assert f"//{address}/" not in client.dashboard_link
    assert f"{address} is not to be had" in caplog.text
    with open_client(workers=1, gpus=0, dashboard=address) as client:
        assert f"//{address}/" in client.dashboard_link
        assert "dask_scheduler_workers" in httpx.get(f"http://{address}/metrics", follow_redirects=True).text


def test_workers_with_a_gpu_and_mappers_take_the_memory_they_need_and_cores_their_share(monkeypatch):
    started = []

    class Through:
        """A nanny that is through with its work as soon as it started."""

        def __init__(self, _, **options):
            started.append(options)

        def __await__(self):
            return asyncio.sleep(0).__await__()

        async def finished(self):
            pass

    monkeypatch.setattr(cluster, "Nanny", Through)
    serve_workers("tcp://127.0.0.1:9", workers=2, gpus=["0", "1"], mapper_threads=4)
    limits = [(options["resources"], options["memory_limit"]) for options in started]
    assert limits == [({"CPU": 1}, "auto")] * 2 + [({"GPU": 1}, "0")] * 2 + [({"MAPPER": 4}, "0")]


def test_a_script_without_a_main_guard_is_told_what_it_lacks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from reconflow.pipeline.cluster import open_client\nopen_client(workers=1, gpus=0)\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "put what uses reconflow under `if __name__ == '__main__':`" in ended.stderr.splitlines()[-1]
