from reconflow.pipeline.machines import GpuState, MachineState, machines


def worker(host, resources, *, tasks=0, memory=0, limit=0, nthreads=1, **more):
    metrics = {"task_counts": {"executing": tasks} if tasks else {}, "memory": memory} | more.pop("metrics", {})
    given = {"host": host, "resources": resources, "nthreads": nthreads, "memory_limit": limit, "metrics": metrics}
    return given | more


def test_workers_are_told_by_machine_and_the_mapper_apart():
    found = machines(
        {
            "tcp://b:1": worker("b", {"CPU": 1}, tasks=1, memory=10, limit=100),
            "tcp://a:1": worker("a", {"CPU": 1}, memory=1, limit=4),
            "tcp://b:2": worker("b", {"CPU": 1}, memory=20, limit=100, nthreads=2),
            "tcp://b:3": worker("b", {"MAPPER": 8}, tasks=2, memory=1000, nthreads=8),
        }
    )
    idle = MachineState(
        host="a", workers=1, threads=1, busy=0, mapping=0, memory_bytes=1, memory_limit_bytes=4, gpus=()
    )
    busy = MachineState(
        host="b", workers=2, threads=3, busy=1, mapping=2, memory_bytes=30, memory_limit_bytes=200, gpus=()
    )
    assert found == (idle, busy)


def test_every_gpu_is_told_with_its_memory_and_whether_it_works():
    told = {"gpu": {"name": "NVIDIA A100", "memory-total": 40}, "metrics": {"gpu": {"memory-used": 7}}}
    [machine] = machines(
        {
            "tcp://a:1": worker("a", {"GPU": 1}, tasks=1, **told),
            "tcp://a:2": worker("a", {"GPU": 1}),
            "tcp://a:3": worker("a", {"CPU": 1}, **told),
        }
    )
    assert machine.gpus == (
        GpuState(name="NVIDIA A100", busy=True, memory_bytes=7, total_bytes=40),
        GpuState(name="GPU", busy=False, memory_bytes=0, total_bytes=0),
    )
    assert (machine.workers, machine.threads) == (3, 3)


def test_workers_that_know_no_resources_count_as_workers():
    assert machines({"tcp://a:1": worker("a", None, nthreads=4)})[0].threads == 4
