"""What is built for people who install reconflow: the sources with the page's sources, the wheel with the page."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "webapp" / "ui" / "node_modules"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The sources as they are checked out, with npm's packages lent from the checkout."""
    if not (PACKAGES / ".package-lock.json").exists():
        pytest.skip("npm's packages are not installed: make ui")
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "static")
    for name in ("reconflow", "webapp"):
        shutil.copytree(ROOT / name, copy / name, ignore=left_out)
    return copy


def build(tree, kind, target):
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (made,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def test_the_sources_make_a_wheel_that_has_the_page(tree, tmp_path):
    packed = build(tree, "sdist", tmp_path / "sdist")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (sources,) = (tmp_path / "unpacked").iterdir()
    assert (sources / "webapp/ui/src/main.ts").exists()
    assert (sources / "webapp/ui/package-lock.json").exists()
    assert not (sources / "webapp/static").exists()
    assert not (sources / "webapp/ui/node_modules").exists()

    (sources / "webapp/ui/node_modules").symlink_to(PACKAGES)
    before = (PACKAGES / ".package-lock.json").stat().st_mtime - 1
    os.utime(sources / "webapp/ui/package-lock.json", (before, before))  # or npm would fetch the packages anew
    with zipfile.ZipFile(build(sources, "wheel", tmp_path / "wheel")) as wheel:
        names = wheel.namelist()
        page = wheel.read("webapp/static/index.html").decode()
    assert {f"webapp{address}" for address in page.split('"') if address.startswith("/static/")} <= set(names)
    assert not [name for name in names if name.startswith("webapp/ui")]
    assert "reconflow/__init__.py" in names
