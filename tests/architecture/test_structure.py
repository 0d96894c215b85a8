import ast
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reconflow
from reconflow import errors

ROOT = Path(__file__).parents[2]
LIBRARY = sorted(path for name in ("reconflow", "webapp") for path in (ROOT / name).rglob("*.py"))
HEAVY = ("torch", "pycolmap", "cv2", "open3d", "zarr", "dask", "distributed", "pandas", "plotly", "faiss", "numpy")


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_importing_reconflow_loads_nothing_heavy():
    code = "import json, sys, reconflow; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert set(loaded).isdisjoint(HEAVY)


def test_importing_reconflow_takes_next_to_no_time():
    code = "import time; start = time.process_time(); import reconflow; print(time.process_time() - start)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.3


def test_every_public_name_can_be_had():
    for name in reconflow.__all__:
        assert getattr(reconflow, name) is not None
    with pytest.raises(AttributeError):
        reconflow.nothing  # noqa: B018


def test_the_arrows_between_the_layers_point_one_way():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def swallows_everything(handler):
    """Tell whether a handler takes any error and does not raise it again as its last step."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def test_everything_is_caught_in_two_files_only():
    found = [
        path.relative_to(ROOT).as_posix()
        for path in LIBRARY
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and swallows_everything(node)
    ]
    assert set(found) == {"reconflow/pipeline/tasks.py", "reconflow/jobs/runner.py"}


def test_no_module_is_named_after_nothing():
    assert not {path.stem for path in LIBRARY} & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_has_a_docstring_and_at_most_four_hundred_lines(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert not text or ast.get_docstring(tree(path))


def public(body):
    """Functions, classes, and the methods of these classes, that do not start with an underscore."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            yield from public(node.body) if isinstance(node, ast.ClassDef) else ()


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_public_function_and_class_says_what_it_is(path):
    for node in public(tree(path).body):
        assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_no_tracked_file_holds_a_path_of_a_machine():
    # Put together from parts, so that this file does not hold one itself.
    pattern = re.compile("|".join(["/" + "work/", "/" + "home/[a-z]", "/" + "Users/", "/" + "root/"]))
    for path in tracked():
        if (
            path.suffix in {".py", ".md", ".toml", ".yml", ".sh", ".ipynb", ".js", ".css", ".html", ""}
            and path.is_file()
        ):
            assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_example_notebooks_are_kept_without_outputs():
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ReconflowError)]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_travels_whole(kind):
    error = pickle.loads(pickle.dumps(kind("what is wrong", stage="match", item="a.jpg")))
    assert type(error) is kind
    assert (str(error), error.stage, error.item) == ("what is wrong", "match", "a.jpg")
    assert kind.__name__ in errors.__doc__
