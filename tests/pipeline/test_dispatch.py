import errno
import os
import signal
import threading
import time

import msgspec
import pytest
from distributed import get_worker

from reconflow.errors import Cancelled, DiskFullError
from reconflow.pipeline.control import RunLine, TaskControl
from reconflow.pipeline.dispatch import Advanced, Died, Dispatcher, Done


class Numbers(msgspec.Struct, frozen=True):
    key: str
    numbers: tuple[int, ...]

    def __len__(self):
        return len(self.numbers)

    def halves(self):
        middle = len(self.numbers) // 2
        if middle == 0:
            return ()
        return tuple(
            Numbers(f"{self.key}{i}", part) for i, part in enumerate((self.numbers[:middle], self.numbers[middle:]))
        )


def double(task):
    if 13 in task.numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return [2 * n for n in task.numbers]


def broken(task):
    if 13 in task.numbers:
        raise RuntimeError("out of tune")
    return list(task.numbers)


def full(task):
    raise OSError(errno.ENOSPC, "No space left on device")


def slow(task, line):
    control = TaskControl(line, stage="slow", task=task.key)
    for done in range(600):
        control.advance(done)
        control.check()
        time.sleep(0.05)


def where(task):
    time.sleep(0.3)
    return get_worker().address


def collect(client, tasks, body, *arguments, line=None, is_cancelled=lambda: False, stage="double", homes=()):
    line = line or RunLine(os.urandom(4).hex())
    with Dispatcher(client, line, is_cancelled=is_cancelled) as dispatcher:
        return list(dispatcher.run(tasks, body, stage=stage, resources={"CPU": 1}, arguments=arguments, homes=homes))


def workers_of(client, kind):
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address for address, worker in workers.items() if kind in worker["resources"]}


def test_every_task_comes_back_once_with_its_outcome(client):
    tasks = [Numbers(f"t{i}", (i, i + 1)) for i in range(10)]
    steps = collect(client, tasks, double)
    assert {s.task.key: s.outcome for s in steps if isinstance(s, Done)} == {t.key: double(t) for t in tasks}


def test_progress_reaches_the_total_and_never_goes_back(client):
    steps = collect(client, [Numbers(f"t{i}", (i, i + 1)) for i in range(5)], double)
    counts = [s.done for s in steps if isinstance(s, Advanced)]
    assert counts == sorted(counts)
    assert counts[-1] == 10


@pytest.mark.slow
def test_one_item_that_kills_its_worker_costs_itself_and_nothing_else(client):
    steps = collect(client, [Numbers("t", (11, 12, 13, 14)), Numbers("u", (1, 2))], double)
    outcomes = sorted(n for s in steps if isinstance(s, Done) for n in s.outcome)
    assert outcomes == [2, 4, 22, 24, 28]
    (dead,) = [s for s in steps if isinstance(s, Died)]
    assert dead.task.numbers == (13,)
    assert "killed" in dead.reason


def test_an_item_that_nobody_expected_costs_itself_and_nothing_else(client):
    steps = collect(client, [Numbers("x", (11, 12, 13, 14))], broken)
    assert sorted(n for s in steps if isinstance(s, Done) for n in s.outcome) == [11, 12, 14]
    (dead,) = [s for s in steps if isinstance(s, Died)]
    assert (dead.task.numbers, dead.reason) == ((13,), "RuntimeError: out of tune")


def test_a_full_disk_of_a_worker_is_told_as_one_and_not_as_a_lost_scheduler(client):
    with pytest.raises(DiskFullError, match="disk is full"):
        collect(client, [Numbers("f", (1,))], full)


@pytest.mark.slow
def test_tasks_run_where_their_home_is(client):
    client.wait_for_workers(3, timeout=60)  # two for cores and the mapper: one may have been killed by a test before
    tasks = [Numbers(f"h{i}", (i,)) for i in range(20)]
    homes = [i // 10 for i in range(20)]
    ran = {s.task.key: s.outcome for s in collect(client, tasks, where, homes=homes) if isinstance(s, Done)}
    workers = sorted(set(ran.values()))
    at_home = sum(ran[task.key] == workers[home] for task, home in zip(tasks, homes, strict=True))
    assert max(at_home, 20 - at_home) >= 16  # whichever of the two is home 0; an idle worker may take a few over


@pytest.mark.slow
def test_idle_workers_take_over_what_they_may_and_nothing_else(client):
    client.wait_for_workers(3, timeout=60)
    tasks = [Numbers(f"o{i}", (i,)) for i in range(16)]
    ran = [s.outcome for s in collect(client, tasks, where, homes=[0] * 16) if isinstance(s, Done)]
    assert len(ran) == 16
    assert set(ran) == workers_of(client, "CPU")  # the mapper is idle all the time
    assert min(ran.count(address) for address in set(ran)) >= 2


@pytest.mark.slow
def test_tasks_whose_home_is_gone_are_done_by_others(client):
    tasks = [Numbers("k", (13,)), *(Numbers(f"g{i}", (i,)) for i in range(6))]
    steps = collect(client, tasks, double, homes=[0] * 7)
    ended = {s.task.key: s for s in steps if isinstance(s, Done | Died)}
    assert set(ended) == {task.key for task in tasks}
    assert isinstance(ended["k"], Died)


def test_cancelling_stops_tasks_that_are_running(client):
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    line = RunLine(os.urandom(4).hex())
    started = time.monotonic()
    with pytest.raises(Cancelled):
        collect(client, [Numbers("s", (1,))], slow, line, line=line, is_cancelled=stop.is_set, stage="slow")
    # The slot is free again within seconds, not after the thirty that the task would have taken.
    assert client.submit(lambda: 1, resources={"CPU": 1}, pure=False).result(timeout=15) == 1
    assert time.monotonic() - started < 20


def test_a_task_body_runs_outside_a_cluster_too():
    control = TaskControl(RunLine("x"), stage="s", task="t")
    control.advance(1)
    control.check()
