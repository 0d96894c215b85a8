"""The machines of a cluster, for people who look after it. Pure, and free of Dask."""

from collections.abc import Mapping
from typing import Any

import msgspec


class GpuState(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that a worker has for itself."""

    name: str
    busy: bool
    memory_bytes: int
    """In use, by whomever."""
    total_bytes: int
    """0 where the driver does not tell."""


class MachineState(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine gives to the cluster."""

    host: str
    """Its address, as the scheduler has it."""
    workers: int
    """Processes for photos and pairs."""
    threads: int
    """Of all of them."""
    busy: int
    """Of them, those that have work."""
    mapping: int
    """Scenes that are being reconstructed."""
    memory_bytes: int
    """In use by all of them."""
    memory_limit_bytes: int
    """Of all of them; 0 where there is none."""
    gpus: tuple[GpuState, ...]


def machines(workers: Mapping[str, Mapping[str, Any]]) -> tuple[MachineState, ...]:
    """Return the machines by name, from the scheduler's description of each worker."""
    hosts: dict[str, list[Mapping[str, Any]]] = {}
    for _, worker in sorted(workers.items()):
        hosts.setdefault(str(worker["host"]), []).append(worker)
    return tuple(_machine(host, found) for host, found in sorted(hosts.items()))


def _machine(host: str, workers: list[Mapping[str, Any]]) -> MachineState:
    mappers = [worker for worker in workers if set(worker.get("resources") or {}) == {"MAPPER"}]
    others = [worker for worker in workers if worker not in mappers]
    return MachineState(
        host=host,
        workers=len(others),
        threads=sum(int(worker["nthreads"]) for worker in others),
        busy=sum(_tasks(worker) > 0 for worker in others),
        mapping=sum(_tasks(worker) for worker in mappers),
        memory_bytes=sum(int(worker["metrics"].get("memory") or 0) for worker in others),
        memory_limit_bytes=sum(int(worker["memory_limit"] or 0) for worker in others),
        gpus=tuple(_gpu(worker) for worker in others if "GPU" in (worker.get("resources") or {})),
    )


def _gpu(worker: Mapping[str, Any]) -> GpuState:
    told = worker.get("gpu") or {}
    now = worker["metrics"].get("gpu") or {}
    return GpuState(
        name=str(told.get("name") or "GPU"),
        busy=_tasks(worker) > 0,
        memory_bytes=int(now.get("memory-used") or 0),
        total_bytes=int(told.get("memory-total") or 0),
    )


def _tasks(worker: Mapping[str, Any]) -> int:
    return int((worker["metrics"].get("task_counts") or {}).get("executing", 0))
