"""Measuring whole commands: wall seconds, CPU seconds and peak memory of a process and all its children.

Memory is sampled from /proc ten times a second, for the whole tree and for its largest process, so a spike shorter
than that can be missed.
"""

import os
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from readings import Machine, Reading
from speed_schema import MEASURED_ON_A_GPU

_SAMPLE_S = 0.1


def measure(command: Sequence[str], *, log: Path) -> Reading:
    """Run a command to its end; its output goes to ``log``."""
    before = os.times()
    started = time.monotonic()
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        peaks = {"tree": 0.0, "process": 0.0}
        ended = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, peaks, ended))
        sampler.start()
        code = process.wait()
        ended.set()
        sampler.join()
    after = os.times()
    # Children of children are counted once they are waited for, which Dask and the mapper's worker both do.
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Reading(
        wall_s=time.monotonic() - started,
        cpu_s=cpu,
        peak_tree_mb=peaks["tree"],
        peak_process_mb=peaks["process"],
        exit_code=code,
    )


def median_ratio(ours: Sequence[Reading], theirs: Sequence[Reading], field: str) -> float | None:
    """Return the median of ours over theirs, turn by turn; None where one side did not run."""
    ratios = [getattr(a, field) / getattr(b, field) for a, b in zip(ours, theirs, strict=False)]
    return statistics.median(ratios) if ratios else None


def this_machine() -> Machine:
    """Return what there is to know of this machine."""
    from reconflow.pipeline.versions import versions

    describe = ["git", "describe", "--always", "--dirty=, with changes", "--exclude=*"]
    described = subprocess.run(describe, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    processor = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return Machine(
        processor=processor,
        cores=len(os.sched_getaffinity(0)),
        platform=" ".join([platform.system(), platform.machine(), *platform.libc_ver()]).strip(),
        python=platform.python_version(),
        commit=described.stdout.strip() or "unknown",
        versions={name: version for name, version in versions().items() if name not in {"python", "platform"}},
        load_at_start=os.getloadavg()[0],
    )


def network_device() -> tuple[str, str]:
    """Name what networks run on in this process, and say whether that is a GPU, and why not."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), MEASURED_ON_A_GPU
    return f"CPU, {torch.get_num_threads()} threads", "not run on a GPU: none on this machine"


def _sample(root: int, peaks: dict[str, float], ended: threading.Event) -> None:
    while not ended.wait(_SAMPLE_S):
        sizes = [_rss_mb(pid) for pid in _tree(root)]
        if sizes:
            peaks["tree"] = max(peaks["tree"], sum(sizes))
            peaks["process"] = max(peaks["process"], *sizes)


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += parents.get(pid, [])
    return found


def _rss_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
