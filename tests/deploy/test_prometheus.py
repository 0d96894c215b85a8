import ast
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

METRICS = Path(__file__).parents[2] / "webapp" / "metrics.py"
KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram"}


def load(path):
    return yaml.safe_load(path.read_text())


def test_the_documented_metrics_are_those_the_service_tells(documented):
    told = {
        call.args[0].value: KINDS[call.func.id]
        for call in ast.walk(ast.parse(METRICS.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS
    }
    assert {name: kind for name, kind in documented.items() if not name.startswith("dask_")} == told


def test_an_unknown_metric_would_be_found(unknown_metrics):
    assert unknown_metrics('sum by (le) (rate(reconflow_queue_dept{a="b"}[5m])) > 5e9') == {"reconflow_queue_dept"}


def test_alerts_name_only_documented_metrics(deploy, unknown_metrics):
    rules = [rule for group in load(deploy / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert unknown_metrics(rule["expr"]) == set(), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_service_and_the_scheduler_are_scraped_and_the_alerts_loaded(deploy):
    config = load(deploy / "prometheus" / "prometheus.yml")
    assert {job["job_name"] for job in config["scrape_configs"]} == {"reconflow", "dask"}
    assert [(deploy / "prometheus" / name).is_file() for name in config["rule_files"]] == [True]


def test_rule_tests_name_alerts_that_exist(deploy, unknown_metrics):
    groups = load(deploy / "prometheus" / "alerts.yml")["groups"]
    alerts = {rule["alert"]: rule["annotations"] for group in groups for rule in group["rules"]}
    for test in load(deploy / "prometheus" / "alerts_test.yml")["tests"]:
        for series in test["input_series"]:
            assert unknown_metrics(series["series"]) == set()
        for case in test["alert_rule_test"]:
            assert all(alert["exp_annotations"] == alerts[case["alertname"]] for alert in case["exp_alerts"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("command", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_agrees(deploy, command):
    done = subprocess.run(["promtool", *command], cwd=deploy / "prometheus", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
