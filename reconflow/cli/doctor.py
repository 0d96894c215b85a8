"""``reconflow doctor``: is everything here that a run needs?"""

import argparse
import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from reconflow.core.open3d_library import load_open3d
from reconflow.errors import DependencyError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="check this machine", description="Check that everything a run needs is here; changes nothing."
    )
    parser.set_defaults(command=execute)
    return parser


def execute(_: argparse.Namespace) -> int:
    """Print a line per check; the exit code is 1 when a needed one fails."""
    from reconflow.cli.methods import print_methods
    from reconflow.pipeline.cluster import available_cores

    console = Console()
    checks: list[tuple[str, Callable[[], str], bool]] = [
        ("Python", lambda: sys.version.split()[0], True),
        ("COLMAP (pycolmap)", lambda: _version("pycolmap"), True),
        ("OpenCV", lambda: _version("cv2"), True),
        ("faiss", lambda: _version("faiss"), True),
        ("Zarr", lambda: _version("zarr"), True),
        ("Dask", lambda: _version("distributed"), True),
        ("Open3D", lambda: str(load_open3d().__version__), True),
        ("torch (learned models)", _torch, False),
        ("GPUs through dask-cuda", _gpus, False),
        ("cores", lambda: str(available_cores()), True),
        ("free disk", lambda: f"{shutil.disk_usage(Path(tempfile.gettempdir())).free / 1e9:.0f} GB", True),
    ]
    failed = False
    for name, check, needed in checks:
        try:
            found, mark = check(), "[green]✓[/]"
        except (ImportError, OSError, DependencyError) as error:
            found = str(error) if needed else "not installed: optional"
            mark = "[red]✗[/]" if needed else "[dim]–[/]"
            failed |= needed
        console.print(f"{mark} {name:<24} {found}", highlight=False)
    console.print()
    print_methods(console)
    return int(failed)


def _gpus() -> str:
    from reconflow.pipeline.gpus import torch_lacks, unused_gpu, visible_gpus

    found = visible_gpus()
    if not found:
        return unused_gpu() or "none: the CPU is used"
    names = f"{len(found)}: {', '.join(found)}"
    return f"{names}; they stay unused: {lack}" if (lack := torch_lacks()) else names


def _torch() -> str:
    """Return torch's version, the CUDA it was built for, and whether it can be used here."""
    found = _version("torch")
    from reconflow.nets.devices import cuda_of_torch, trouble_with_cuda

    if not (cuda := cuda_of_torch()):
        return f"{found}, for CPUs only"
    trouble = trouble_with_cuda()
    return f"{found}, for CUDA {cuda}, {f'not usable here: {trouble}' if trouble else 'usable here'}"


def _version(module: str) -> str:
    return str(importlib.import_module(module).__version__)
