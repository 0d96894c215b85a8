"""The cluster a run works on: an existing scheduler, the GPUs of this machine, or its cores.

Each kind of worker offers a resource of its own, so that a match task never lands on the mapper: ``CPU`` or ``GPU``
for features and matches, ``MAPPER`` for COLMAP. ``MAPPER`` counts cores: a worker that offers 8 maps one scene with
eight threads or four scenes with two each.
"""

import asyncio
import logging
import math
import multiprocessing
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import dask.config
import msgspec
from distributed import Client, LocalCluster, Nanny, Worker
from distributed.deploy.spec import SpecCluster
from distributed.security import Security
from distributed.utils import sync

from reconflow.config import Precision
from reconflow.errors import Cancelled, ClusterError, DependencyError
from reconflow.pipeline.certificates import unreachable
from reconflow.pipeline.ctrl_c import loop_of_deaf_processes
from reconflow.pipeline.gpus import HOW_TO_USE_GPUS, NO_GPU, VISIBLE, chosen_gpus, has_bfloat16

logger = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""How long a run waits for workers it cannot do without."""
COMPUTE = "CPU"
GPU = "GPU"
MAPPER = "MAPPER"

_DASK = {
    # A task whose worker died comes back at once, to be tried again alone, instead of taking four workers down.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
    # Results are small records; arrays go through the store. Nothing needs to spill or to be copied about.
    "distributed.scheduler.active-memory-manager.start": False,
    # Dask has freed memory handed back to the system at once. Matching frees and takes the same few megabytes all the
    # time: keeping them saves the page faults, which were a quarter of all CPU time.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**28,
    # Asked for a GPU at the top of a person's script, torch would fix the list of devices before a worker has its own.
    "distributed.nanny.pre-spawn-environ.PYTORCH_NVML_BASED_CUDA_CHECK": 1,
    "distributed.admin.large-graph-warning-threshold": "100MB",
}

_NOT_STARTED = (
    "the worker processes of the local cluster did not start: in a script, put what uses reconflow under "
    "`if __name__ == '__main__':`, since each worker reads the script again"
)


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tasks of a run may go."""

    compute: dict[str, float]
    """Resource of one task on a core; empty where the workers offer none and any of them will do."""
    slots: int
    """How many such tasks run at once."""
    learned: dict[str, float]
    """Resource of one task that runs a learned model: a GPU where workers offer some, else as ``compute``."""
    learned_slots: int
    """How many such tasks run at once."""
    mapper: float
    """MAPPER resource the best worker offers; 0 where none does and any worker will do."""
    mapper_threads: int
    """Cores to map one scene with when it has a worker for itself."""
    precision: Precision = "fp32"
    """What ``auto`` comes to where such tasks run."""


class _OwningClient(Client):
    """A client that closes the cluster made for it."""

    def close(self, *args: Any, **kwargs: Any) -> Any:
        """Close the client, then its cluster; not when the interpreter ends, which has ended the thread for it."""
        if sys.is_finalizing():
            return
        super().close(*args, **kwargs)
        if self.cluster is not None:
            self.cluster.close()


def open_client(
    address: str | None = None,
    *,
    workers: int | None = None,
    gpus: Literal["auto"] | int = "auto",
    mapper_threads: int | None = None,
    dashboard: str | None = "127.0.0.1:0",
    memory_limit: str | float = "auto",
    security: Security | None = None,
    timeout_s: float = 20.0,
) -> Client:
    """Return a client of a cluster that can run reconflow; closing it closes a cluster that was made for it.

    Parameters
    ----------
    address : str, optional
        An existing scheduler, such as ``tcp://host:8786``. Its workers are started with ``reconflow work ADDRESS``,
        or with ``CUDA_VISIBLE_DEVICES= dask worker ADDRESS --nthreads 1 --resources "CPU=1"`` (``MAPPER=1`` on one of
        them) and ``dask cuda worker ADDRESS --resources "GPU=1"``.
    workers : int, optional
        CPU worker processes of a local cluster; one per core by default.
    gpus : "auto" or int
        How many GPUs to use, of those that ``CUDA_VISIBLE_DEVICES`` lists; ``auto`` takes all where dask-cuda is
        installed and finds some that torch can use. 0 keeps to the CPU.
    mapper_threads : int, optional
        Cores that mapping may use; all by default.
    dashboard : str, optional
        Address of the dashboard of a local cluster; loopback and a free port by default, ``None`` for no dashboard.
        Where its port is taken, a free one is used.
    memory_limit : str or float
        Of each worker process, as Dask takes it.
    security : Security, optional
        TLS certificates for an existing scheduler.
    timeout_s : float
        How long to wait for an existing scheduler.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, there are fewer GPUs, or workers of a local cluster do not start.
    DependencyError
        If GPUs are asked for and dask-cuda is not installed, or torch cannot use them.

    """
    dask.config.set(_DASK)
    if address is not None:
        return _connect(address, security, timeout_s)
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)  # a worker that reads an unguarded script again: the script's own process says why
    cores = available_cores()
    own_gpus = chosen_gpus(gpus)
    options: dict[str, Any] = {
        "threads_per_worker": 1,
        "memory_limit": memory_limit,
        "dashboard_address": _free(dashboard),
        "silence_logs": logging.CRITICAL,
    }
    cpu_workers = max(1, cores - len(own_gpus)) if workers is None else workers
    try:
        with loop_of_deaf_processes() as loop:
            cluster = _local_cluster(own_gpus, cpu_workers, {**options, "loop": loop})
    except RuntimeError as error:  # of a nanny whose process ended
        raise ClusterError(_NOT_STARTED) from error
    share = mapper_threads or cores
    # Mapping itself runs in a subprocess, so its worker is a few threads of this process and costs no start-up.
    cluster.worker_spec["mapper"] = {
        "cls": Worker,
        "options": {"nthreads": share, "resources": {MAPPER: share}, "memory_limit": 0, "dashboard": False},
    }
    cluster.scale(len(cluster.worker_spec))
    client = _OwningClient(cluster)
    try:
        client.wait_for_workers(len(cluster.worker_spec), timeout=PATIENCE_S)
    except TimeoutError as error:
        client.close()
        raise ClusterError(f"the workers of the local cluster did not start within {PATIENCE_S:.0f} s") from error
    return client


def placement(
    client: Client, *, timeout_s: float = PATIENCE_S, is_cancelled: Callable[[], bool] = lambda: False
) -> Placement:
    """Return where tasks may go, waiting for workers that are still starting.

    Raises
    ------
    Cancelled
        If ``is_cancelled``, asked twice a second, says so.
    ClusterError
        If no worker comes, or none that offers what is needed: a task that nobody can take would wait for ever.

    """
    deadline = time.monotonic() + timeout_s
    while True:
        if is_cancelled():
            raise Cancelled("the run was cancelled")
        workers = client.scheduler_info(n_workers=-1)["workers"]
        try:
            found = place(workers)
        except ClusterError as error:
            if time.monotonic() > deadline:
                raise
            logger.info("waiting for workers: %s", error)
            time.sleep(0.5)
            continue
        return msgspec.structs.replace(found, precision=_precision(client, workers)) if GPU in found.learned else found


def place(workers: Mapping[str, Mapping[str, Any]]) -> Placement:
    """Return where tasks may go on ``workers``, the scheduler's description of each: resources and threads.

    Workers that know none of reconflow's resources, such as those of a plain ``Client()`` in a notebook, take every
    kind of task. As soon as one offers such a resource, all kinds must be offered.
    """
    if not workers:
        raise ClusterError("no worker has joined the scheduler: start some with `reconflow work ADDRESS`")
    offered = [(dict(w.get("resources") or {}), int(w["nthreads"])) for w in workers.values()]
    if not any(set(resources) & {COMPUTE, GPU, MAPPER} for resources, _ in offered):
        threads = [nthreads for _, nthreads in offered]
        slots = sum(threads)
        return Placement(
            compute={}, slots=slots, learned={}, learned_slots=slots, mapper=0, mapper_threads=available_cores()
        )
    slots, gpu_slots = (
        sum(min(int(resources.get(kind, 0)), nthreads) for resources, nthreads in offered) for kind in (COMPUTE, GPU)
    )
    mapper = max(float(resources.get(MAPPER, 0)) for resources, _ in offered)
    if not slots:
        raise ClusterError("no worker offers CPU: start one with `reconflow work ADDRESS`")
    if not mapper:
        raise ClusterError("no worker offers MAPPER: start one with `reconflow work ADDRESS --mapper`")
    return Placement(
        compute={COMPUTE: 1},
        slots=slots,
        learned={GPU: 1} if gpu_slots else {COMPUTE: 1},
        learned_slots=gpu_slots or slots,
        mapper=mapper,
        mapper_threads=math.floor(mapper),
    )


def _precision(client: Client, workers: Mapping[str, Mapping[str, Any]]) -> Precision:
    """Return what all GPUs that workers offer multiply in by themselves; workers that are just leaving have no say."""
    offering = sorted(address for address, one in workers.items() if GPU in (one.get("resources") or {}))
    told: Any = client.run(has_bfloat16, workers=offering, on_error="ignore")
    return "bf16" if all(told.values()) else "fp16"


def available_cores() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free(dashboard: str | None) -> str | None:
    """Return the address, or one with a free port where that is taken."""
    host, _, port = (dashboard or "").rpartition(":")
    if not port.isdigit() or port == "0":
        return dashboard
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        logger.info("the dashboard takes a free port: %s is not to be had (%s)", dashboard, error.strerror)
        return f"{host}:0"
    return dashboard


def _connect(address: str, security: Security | None, timeout_s: float) -> Client:
    try:
        return Client(address, security=security, timeout=timeout_s)
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:  # the last two: TLS where none is
        raise unreachable(address, security, error) from error


def _local_cluster(gpus: Sequence[str], cpu_workers: int, options: Mapping[str, Any]) -> SpecCluster:
    if not gpus:
        return LocalCluster(
            n_workers=cpu_workers, processes=True, resources={COMPUTE: 1}, env=NO_GPU, host="127.0.0.1", **options
        )
    cluster = _gpu_cluster(gpus, options)
    for number in range(cpu_workers):
        cluster.worker_spec[f"cpu-{number}"] = _cpu_worker(options["memory_limit"])
    return cluster


def _gpu_cluster(gpus: Sequence[str], options: Mapping[str, Any]) -> SpecCluster:
    try:
        from dask_cuda import LocalCUDACluster  # pyright: ignore[reportMissingImports] - an extra
    except ImportError as error:
        raise DependencyError(f"GPUs need dask-cuda: {HOW_TO_USE_GPUS}") from error
    # LocalCUDACluster offers no resource of its own: without one, CPU tasks would land on GPU workers.
    return LocalCUDACluster(CUDA_VISIBLE_DEVICES=list(gpus), n_workers=len(gpus), resources={GPU: 1}, **options)


def _cpu_worker(memory_limit: str | float) -> dict[str, Any]:
    resources, quiet = {COMPUTE: 1}, logging.CRITICAL
    options = {
        "nthreads": 1,
        "resources": resources,
        "memory_limit": memory_limit,
        "silence_logs": quiet,
        "env": NO_GPU,
    }
    return {"cls": Nanny, "options": options}


def serve_workers(
    address: str,
    *,
    workers: int,
    gpus: Sequence[str] = (),
    mapper_threads: int = 0,
    security: Security | None = None,
    verbose: bool = False,
) -> None:
    """Join workers to a scheduler and return when it goes away.

    ``workers`` processes take work for cores and see no GPU, one process for each of ``gpus`` takes that of learned
    models and sees no other, and a mapper comes along where it has threads. They log errors, and more if ``verbose``.

    Raises
    ------
    ClusterError
        If the scheduler does not answer.

    """
    common: dict[str, Any] = {
        "nthreads": 1,
        "resources": {COMPUTE: 1},
        "memory_limit": "auto",
        "security": security,
        "env": NO_GPU,
        "silence_logs": None if verbose else logging.ERROR,
    }
    all_options = [common] * workers
    for gpu in gpus:
        # One core's share of the memory would not do: torch with CUDA takes some gigabytes by itself.
        own = {"resources": {GPU: 1}, "env": {VISIBLE: gpu}, "memory_limit": "0"}
        all_options.append({**common, **own, "name": f"gpu-{gpu}-{uuid.uuid4().hex[:8]}"})
    if mapper_threads:
        mapper = {"nthreads": mapper_threads, "resources": {MAPPER: mapper_threads}, "memory_limit": "0"}
        all_options.append(common | mapper)
    with loop_of_deaf_processes() as loop:
        try:
            sync(loop, _serve, address, all_options)
        except (OSError, TimeoutError, RuntimeError, TypeError) as error:  # a nanny wraps what kept it from starting
            raise unreachable(address, security, error) from error


async def _serve(address: str, all_options: Sequence[dict[str, Any]]) -> None:
    nannies = [Nanny(address, **options) for options in all_options]
    await asyncio.wait_for(asyncio.gather(*nannies), timeout=60)
    await asyncio.gather(*(nanny.finished() for nanny in nannies))
