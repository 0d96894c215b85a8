"""Documents say what is true: their code runs, their commands exist, their links lead somewhere.

A block of ``python``, ``sh`` or ``console`` under a line ``<!-- test -->`` is run, in a folder that holds ``photos/``
with ``a.jpg``, ``b.jpg`` … of one small scene. The Python blocks of a document share their names. All other blocks are
checked as far as that goes without running them.
"""

import contextlib
import importlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconflow.world.photos import make_sample

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for folder in (".", "benchmarks", "docs", "examples") for path in (ROOT / folder).glob("*.md"))
FENCE = re.compile(r"^(?P<tag><!-- test -->\n+)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    code: str
    tagged: bool


def blocks(text):
    return [Block(found["language"], found["code"], found["tag"] is not None) for found in FENCE.finditer(text)]


def commands(text):
    """The lines of all shell blocks; of a ``console`` block those with a prompt."""
    for block in blocks(text):
        for line in block.code.replace("\\\n", " ").splitlines():
            if block.language == "sh":
                yield line
            elif block.language == "console" and line.startswith("$ "):
                yield line.removeprefix("$ ")


def run_blocks(text, folder, monkeypatch):
    """Run what is tagged, from top to bottom; whatever goes wrong is raised."""
    monkeypatch.chdir(folder)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    names = {}
    for block in (block for block in blocks(text) if block.tagged):
        if block.language == "python":
            exec(compile(block.code, "document", "exec"), names)
        else:
            run_shell("\n".join(commands(f"```{block.language}\n{block.code}```")), environment)


def run_shell(script, environment):
    """Run a script to its end, at a port that is free here; what it leaves running is killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with subprocess.Popen(
        ["sh", "-euc", script.replace("8765", str(port))], env=environment, start_new_session=True
    ) as process:
        try:
            if code := process.wait(timeout=240):
                raise subprocess.CalledProcessError(code, script)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def by_name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder as a reader may have it, with photos in it."""
    folder = tmp_path_factory.mktemp("desk")
    sample = make_sample(folder / "sample", scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480))
    (folder / "photos").mkdir()
    for letter, path in zip("abcdef", sorted(sample.images.iterdir()), strict=True):
        path.rename(folder / "photos" / f"{letter}.jpg")
    return folder


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if "<!-- test -->" in path.read_text(encoding="utf-8")], ids=by_name
)
def test_every_tagged_block_runs(path, desk, monkeypatch):
    run_blocks(path.read_text(encoding="utf-8"), desk, monkeypatch)


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_every_python_block_is_python(path):
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language == "python":
            compile(block.code, path.name, "exec")


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_every_command_is_one_the_program_takes(path):
    parser = importlib.import_module("reconflow.cli.main")._parser()
    for line in commands(path.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)
        if words[:1] == ["reconflow"]:
            parser.parse_args(words[1:])


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_every_target_of_make_exists(path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in commands(path.read_text(encoding="utf-8")):
        words = [word for word in shlex.split(line, comments=True) if "=" not in word]
        if words[:1] == ["make"]:
            assert set(words[1:]) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_every_link_leads_to_a_file(path):
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


DOCUMENT = """
<!-- test -->
```python
number = 6
```

```python
raise RuntimeError("not tagged")
```

<!-- test -->
```python
from pathlib import Path

Path("made").write_text(str(number * 7))
```

<!-- test -->
```console
$ grep -q 42 made && cp made \\
    copy
made, as the reader sees it
```
"""


def test_tagged_blocks_share_names_and_a_folder(tmp_path, monkeypatch):
    run_blocks(DOCUMENT, tmp_path, monkeypatch)
    assert (tmp_path / "copy").read_text() == "42"


@pytest.mark.parametrize(
    ("block", "error"), [("python\nnothing_of_the_kind", NameError), ("sh\nfalse\ntrue", subprocess.CalledProcessError)]
)
def test_a_tagged_block_that_fails_fails_the_test(block, error, tmp_path, monkeypatch):
    with pytest.raises(error):
        run_blocks(f"<!-- test -->\n```{block}\n```\n", tmp_path, monkeypatch)
