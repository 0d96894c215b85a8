import argparse
import ast
import importlib.util
import json
import os
import shlex
import subprocess
import sys

import pytest

from reconflow.cli import experiment
from reconflow.jobs.retrain import DAG

ORDER = ["validate", "experiment", "baseline", "promote"]


@pytest.fixture(scope="module")
def source(deploy):
    return deploy / "airflow" / "experiment_pipeline_dag.py"


def calls(source, name):
    """The keyword arguments of every call of a name."""
    return [
        {word.arg: word.value for word in call.keywords}
        for call in ast.walk(ast.parse(source.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name
    ]


@pytest.fixture(scope="module")
def commands(source):
    """Each task's shell command, by its id."""
    tree = ast.parse(source.read_text())
    search = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_SEARCH"
    )
    return {
        task["task_id"].value: eval(compile(ast.Expression(task["bash_command"]), "dag", "eval"), {"_SEARCH": search})
        for task in calls(source, "BashOperator")
    }


def test_it_has_the_name_the_service_triggers_and_the_tasks(source, commands):
    (dag,) = calls(source, "DAG")
    assert dag["dag_id"].value == DAG
    assert dag["max_active_runs"].value == 1
    assert list(commands) == ORDER
    assert " >> ".join(ORDER) in source.read_text()


@pytest.mark.parametrize("task", ORDER)
def test_every_task_is_a_command_that_exists_with_paths_that_hold_spaces(commands, tmp_path, task):
    """The shell runs it with a ``reconflow`` that only writes down what it is told; the real parser reads that."""
    (tmp_path / "reconflow").write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
    (tmp_path / "reconflow").chmod(0o755)
    names = ("EXPERIMENT_SETS", "EXPERIMENT_GRID", "EXPERIMENT_OUT", "RECONFLOW_CONFIG", "EXPERIMENT_BASELINE")
    environment = {name: f"/a path/{name}; false" for name in names} | {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", commands[task]], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parser = argparse.ArgumentParser()
    experiment.add_parser(parser.add_subparsers())
    told = parser.parse_args(done.stdout.splitlines())
    assert [str(path) for path in told.sets] == [environment["EXPERIMENT_SETS"]]
    assert str(told.promote or told.current) == environment["RECONFLOW_CONFIG"]
    assert told.validate == (task == "validate")
    assert (told.promote is not None) == (task == "promote")
    assert (told.baseline is not None) == (task == "baseline")


@pytest.mark.parametrize("task", ORDER)
def test_a_missing_variable_stops_a_task_before_anything_runs(commands, tmp_path, task):
    done = subprocess.run(
        ["bash", "-c", commands[task]], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "EXPERIMENT_SETS" in done.stderr


def test_nothing_of_a_runs_conf_reaches_a_shell(commands):
    assert not any("{{" in command or "{%" in command for command in commands.values())
    assert all(shlex.split(command) for command in commands.values())


@pytest.mark.skipif(importlib.util.find_spec("airflow") is None, reason="Airflow is not installed")
def test_airflow_loads_it(source, tmp_path):
    """In a process and a home of its own: importing Airflow writes files and sets up logging."""
    code = (
        "import json, runpy, sys\n"
        "dag = runpy.run_path(sys.argv[1])['dag']\n"
        "print(json.dumps([dag.dag_id, {t: sorted(dag.get_task(t).downstream_task_ids) for t in dag.task_ids}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(source)],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = {task: [after] if after else [] for task, after in zip(ORDER, [*ORDER[1:], None], strict=True)}
    assert json.loads(done.stdout.splitlines()[-1]) == [DAG, expected]
