"""The containers' files, as far as they can be checked without a build: what they name exists and fits together."""

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from reconflow.cli import serve
from reconflow.jobs.settings import described_settings, load_settings

ROOT = Path(__file__).parents[2]
STEPS = re.compile(r"^([A-Z]+)\s+(.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def steps(deploy):
    """The Dockerfile's instructions, continued lines joined."""
    return STEPS.findall((deploy / "Dockerfile").read_text().replace("\\\n", " "))


@pytest.fixture(scope="module")
def compose(deploy):
    return yaml.safe_load((deploy / "compose.yml").read_text())


@pytest.fixture(scope="module")
def settings_by_name():
    return {name for name, _ in described_settings()}


def named(steps, instruction):
    return [rest for name, rest in steps if name == instruction]


def mounts(compose, service):
    """The files and folders of the repository a service sees, by where it sees them."""
    pairs = [entry.split(":")[:2] for entry in compose["services"][service]["volumes"]]
    return {inside: ROOT / "deploy" / outside for outside, inside in pairs if outside.startswith(".")}


def test_what_is_copied_into_the_image_exists_and_is_not_kept_out(steps):
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {word for rest in named(steps, "COPY") for word in rest.split()[:-1]}
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_a_wheel_needs_nothing_else_of_the_repository(steps):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {word for rest in named(steps, "COPY") for word in rest.split()[:-1]}
    needed = {*wheel["packages"], project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert needed | {"hatch_build.py"} == copied
    extras = set(re.findall(r"\[(\w+)\]", " ".join(named(steps, "RUN"))))
    assert extras <= set(project["project"]["optional-dependencies"])


def test_the_image_has_the_libraries_that_the_installation_asks_for(steps, deploy):
    asked = re.search(r'^libraries="(.+)"$', (deploy / "system-libraries.sh").read_text(), re.MULTILINE).group(1)
    [installed] = re.findall(r"--no-install-recommends\s+(.+?)\s+&&", " ".join(named(steps, "RUN")))
    assert installed.split() == asked.split()


def test_the_image_serves_to_everybody_at_the_port_it_exposes_and_not_as_root(steps):
    [entry], [command] = named(steps, "ENTRYPOINT"), named(steps, "CMD")
    words = yaml.safe_load(entry) + yaml.safe_load(command)
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    told = parser.parse_args(words[1:])
    assert (words[0], told.host, str(told.port)) == ("reconflow", "0.0.0.0", *named(steps, "EXPOSE"))
    assert named(steps, "USER") == ["reconflow"]


def test_every_setting_in_the_files_is_one_and_has_a_value_that_is_taken(steps, compose, settings_by_name):
    in_image = dict(pair.split("=") for rest in named(steps, "ENV") for pair in shlex.split(rest))
    del in_image["PYTHONUNBUFFERED"]
    given = compose["services"]["reconflow"]["environment"]
    assert {*in_image, *given} <= settings_by_name
    plain = {name: re.sub(r"\$\{\w+:[?-][^}]*\}", "long-enough-for-all", value) for name, value in given.items()}
    found = load_settings(in_image | plain)
    assert found.database_url == "postgresql+psycopg://reconflow:long-enough-for-all@postgres:5432/reconflow"
    assert compose["services"]["reconflow"]["volumes"] == [f"data:{found.data_dir}"]


def test_the_next_container_has_the_name_of_the_last_and_so_clears_up_after_it(compose):
    assert compose["services"]["reconflow"]["hostname"] == "reconflow"


def test_compose_names_files_services_and_volumes_that_exist(compose):
    services = compose["services"]
    build = services["reconflow"]["build"]
    assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).samefile(ROOT / "deploy" / "Dockerfile")
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services)
        assert all(place.exists() for place in mounts(compose, name).values())
        outside = [entry.split(":")[0] for entry in service.get("volumes", ())]
        assert {entry for entry in outside if not entry.startswith(".")} <= set(compose["volumes"])
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_prometheus_finds_its_targets_where_the_service_has_them(compose, deploy, steps):
    config = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    given = compose["services"]["reconflow"]["environment"]
    assert targets["reconflow"] == [f"localhost:{named(steps, 'EXPOSE')[0]}"]
    assert targets["dask"] == [f"localhost:{given['RECONFLOW_DASHBOARD_PORT']}"]
    assert targets["dask"] == [f"localhost:{load_settings({}).dashboard_port}"]
    assert compose["services"]["prometheus"]["network_mode"] == "service:reconflow"
    assert mounts(compose, "prometheus")["/etc/prometheus"].samefile(deploy / "prometheus")


def test_grafana_is_given_prometheus_and_the_dashboard(compose, deploy):
    seen = mounts(compose, "grafana")
    [source] = yaml.safe_load((deploy / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://reconflow:9090"  # in whose network Prometheus is
    [provider] = yaml.safe_load((deploy / "grafana/provisioning/dashboards/reconflow.yml").read_text())["providers"]
    assert [path for path in seen if path.startswith(provider["options"]["path"])] == [
        "/var/lib/grafana/dashboards/reconflow.json"
    ]
    assert seen["/etc/grafana/provisioning"].is_dir()
