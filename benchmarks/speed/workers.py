"""Time the matching of a set by several workers against one, and tell how busy the GPUs are meanwhile.

::

    python benchmarks/speed/workers.py PHOTOS --with xfeat+lighterglue --json benchmarks/results/workers.json
    CUDA_VISIBLE_DEVICES=0 python benchmarks/speed/workers.py PHOTOS    # two workers on one device

Each turn is a run from an empty folder that is stopped after matching; the clock is that of the stage, in which pairs
are verified too. Workers go round the devices that ``CUDA_VISIBLE_DEVICES`` lists. Those of one device have together as
many threads beside it as one worker has; its memory is shared by all that are there, those of the other side too.
Networks are loaded in the first turn, which does not count. A device is busy when its driver
says that it computes, asked ten times a second; of parts of a divided GPU it does not say. Without a GPU the workers
are processes of one core each.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from distributed import Client, Nanny

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import network_device, this_machine
from schema import write_result
from speed_schema import WorkerCount, Workers

from reconflow.config import PipelineConfig, load_config
from reconflow.errors import Cancelled
from reconflow.nets.methods import split_combination, why_unusable
from reconflow.pipeline.cluster import GPU, available_cores, open_client
from reconflow.pipeline.events import Event, StageFinished, StageStarted
from reconflow.pipeline.gpus import VISIBLE, listed
from reconflow.pipeline.run import run
from reconflow.pipeline.worker import threads_beside_gpu

STAGE = "match"
ASKED_EVERY_S = 0.1
MEMORY = 0.9
"""What all workers of one device, of both sides, take of its memory together."""


@dataclass
class Watch:
    """Hears a run, and asks the devices while it matches."""

    devices: int
    pairs: int = 0
    seconds: float = 0.0
    samples: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _sampler: threading.Thread | None = None

    def hear(self, event: Event) -> None:
        """Follow the stage."""
        if isinstance(event, StageStarted) and event.stage == STAGE:
            self.pairs = event.total
            self._sampler = threading.Thread(target=self._sample)
            self._sampler.start()
        elif isinstance(event, StageFinished) and event.stage == STAGE:
            self.seconds = event.seconds
            self.stop()

    def over(self) -> bool:
        """Whether all that is measured is done."""
        return self.seconds > 0

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        if self._sampler is not None:
            self._sampler.join()

    def busy(self) -> float | None:
        """Return the share of time that the devices computed; None without any."""
        return statistics.mean(self.samples) if self.samples else None

    def _sample(self) -> None:
        while self.devices and not self._ended.wait(ASKED_EVERY_S):
            if (share := busy_now(self.devices)) is not None:
                self.samples.append(share)


def gpus() -> tuple[str, ...]:
    """Return the names of the GPUs that torch sees, as workers are told them; torch itself counts from 0."""
    count = torch.cuda.device_count()
    return listed(os.environ.get(VISIBLE, ",".join(map(str, range(count)))), sys.maxsize)[:count]


def busy_now(devices: int) -> float | None:
    """Return the share of time that the devices computed lately, by their driver; None where it does not tell."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports] - comes with dask-cuda
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error}: `pip install nvidia-ml-py` asks the GPUs' driver") from error
    try:
        return statistics.mean(torch.cuda.utilization(number) for number in range(devices)) / 100
    except (RuntimeError, pynvml.NVMLError):  # of parts of a divided GPU
        return None


def client_with(workers: int, devices: Sequence[str], *, most: int) -> Client:
    """Return a cluster with so many workers for matching; beside GPUs, the same workers for cores on every side."""
    client = open_client(workers=max(1, available_cores() - most) if devices else workers, gpus=0)
    cluster = client.cluster
    if not devices or cluster is None:
        return client
    for number in range(workers):
        own = {"resources": {GPU: 1}, "env": {VISIBLE: devices[number % len(devices)]}}
        options = {"nthreads": 1, "memory_limit": "0", **own}
        cluster.worker_spec[f"gpu-{number}"] = {"cls": Nanny, "options": options}
    cluster.scale(len(cluster.worker_spec))
    client.wait_for_workers(len(cluster.worker_spec), timeout=120)
    return client


def with_threads_shared(config: PipelineConfig, *, by: int) -> PipelineConfig:
    """Return a configuration in which so many workers of a device have together the threads that one would have."""
    own = max(1, threads_beside_gpu(config.execution, gpu=True) // by)
    return msgspec.structs.replace(config, execution=msgspec.structs.replace(config.execution, threads_beside_gpu=own))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--with", dest="combination", default="xfeat+lighterglue", metavar="COMBINATION")
    parser.add_argument("--workers", type=int, default=2, help="how many are compared with one")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="SECTION.OPTION=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    extractors, matchers = split_combination(arguments.combination)
    if reason := why_unusable(extractors, matchers):
        parser.error(f"{arguments.combination}: {reason}")
    if arguments.workers < 2:
        parser.error("--workers: at least 2 are compared with one")
    machine = this_machine()
    device, on_a_gpu = network_device()
    devices = gpus()
    if devices:
        busy_now(len(devices))
    counts = (1, arguments.workers)
    sharing = [-(-count // max(1, len(devices))) for count in counts]
    own = [f"execution.gpu_memory_fraction={MEMORY / sum(sharing):.3f}", "shortlist.turns=false"]
    names = [f"extract.extractor={extractors}", f"match.matcher={matchers}"]
    config = load_config(overrides=[*names, *own, *arguments.overrides])
    configs = [with_threads_shared(config, by=workers) for workers in sharing]

    def matched(client: Client, count: int, config: PipelineConfig, out: Path) -> Watch:
        watch = Watch(min(count, len(devices)))
        with contextlib.suppress(Cancelled):
            try:
                run(arguments.photos, out, client=client, config=config, on_event=watch.hear, is_cancelled=watch.over)
            finally:
                watch.stop()
        return watch

    turns: list[list[Watch]] = []
    with (
        tempfile.TemporaryDirectory() as scratch,  # removed last: workers still write a little when a run is stopped
        client_with(1, devices, most=arguments.workers) as one,
        client_with(arguments.workers, devices, most=arguments.workers) as several,
    ):
        for number in range(arguments.rounds + 1):
            outs = [Path(scratch) / f"{number}-{count}" for count in counts]
            sides = zip((one, several), counts, configs, outs, strict=True)
            turns.append([matched(*side) for side in sides])
    turns = turns[1:]
    result = Workers(
        machine=machine,
        device=device if devices else "CPU, a core for each worker",
        on_a_gpu=on_a_gpu,
        devices=len(devices),
        photos=sum(path.is_file() for path in arguments.photos.iterdir()),
        pairs=turns[-1][0].pairs,
        combination=arguments.combination,
        overrides=arguments.overrides,
        rounds=arguments.rounds,
        counts=[side(count, [turn[number] for turn in turns]) for number, count in enumerate(counts)],
        scale=statistics.median(turn[0].seconds / turn[1].seconds for turn in turns),
    )
    for made in result.counts:
        untold = "how busy the GPU was is not told" if devices else "not run on a GPU"
        busy = untold if made.gpu_busy is None else f"GPU busy {made.gpu_busy:.0%}"
        print(f"{made.workers} worker(s): {made.match_s:.1f} s, {busy}")
    print(f"{result.device}: {arguments.workers} workers are {result.scale:.2f} × as fast as one; {on_a_gpu}")
    if arguments.json:
        write_result(result, arguments.json)


def side(count: int, watches: Sequence[Watch]) -> WorkerCount:
    """Return the medians of one side."""
    busy = [share for watch in watches if (share := watch.busy()) is not None]
    return WorkerCount(
        workers=count,
        match_s=statistics.median(watch.seconds for watch in watches),
        gpu_busy=statistics.median(busy) if busy else None,
    )


if __name__ == "__main__":
    main()
