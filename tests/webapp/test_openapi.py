"""The OpenAPI document is true: Schemathesis sends the service what the document allows, and what it does not."""

import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import tomli_w

import reconflow as rf
from reconflow.jobs.records import RunnerState
from reconflow.jobs.runner_process import RunnerProcess
from reconflow.world.photos import make_sample

SMALL = {"extract": {"max_keypoints": 1500, "long_edge_px": 640}}
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "ignored_auth", "unsupported_method",
]  # fmt: skip

HOOKS = """
import schemathesis

@schemathesis.serializer("application/offset+octet-stream")
def piece(context, value):
    return value.encode() if isinstance(value, str) else value
"""


@pytest.fixture(scope="module")
def web(site, tmp_path_factory):
    """A service with a finished job, which says that a worker is up."""
    with site(tmp_path_factory.mktemp("data")) as found:
        # An hour ahead: as if a runner told of itself all the while.
        found.service.ledger.beat(RunnerState(runner="r", device="cpu", dashboard_url="", seen_at=time.time() + 3600))
        yield found


@pytest.fixture(scope="module")
def keys(web):
    """API keys: the explorer logs out on its way, which makes a token worthless."""
    return {
        name: getattr(web, name).post("/auth/keys", json={"label": "explorer"}).json()["key"]
        for name in ("anna", "admin")
    }


@pytest.fixture(scope="module")
def known(web, keys, tmp_path_factory):
    """What there is: a finished job, a file of it, a model, a photo."""
    photos = make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480)
    ).images
    with rf.Client(web.url, api_key=keys["anna"]) as client:
        with RunnerProcess(web.service.settings):
            job = client.wait(client.upload(photos, options=SMALL), progress=False, timeout_s=240)
        assert job["stage"] == "success", job
        [cluster] = client._ask("GET", f"/clusters/{job['job_id']}")["clusters"]
        photo = client.images(job["job_id"])[0]["name"]
    return {"job_id": job["job_id"], "filename": cluster["filename"], "cluster": cluster["name"], "name": photo}


def metrics(web):
    return web.anybody.get("/metrics").text


def readable(web):
    """Return the addresses that anybody with an account can read."""
    document = web.anybody.get("/schema/openapi.json").json()
    return {path for path, item in document["paths"].items() if "get" in item and "403" not in item["get"]["responses"]}


def explore(web, key, known, folder, *options):
    """Run Schemathesis as a user of the service; return what it says, and whether it found nothing."""
    (folder / "hooks.py").write_text(HOOKS)
    config = {
        "hooks": str(folder / "hooks.py"),
        "seed": 1,
        "workers": 2,
        "warnings": False,
        "continue-on-failure": True,
        "headers": {"Authorization": f"Bearer {key}"},
        "generation": {"deterministic": True, "max-examples": 2, "database": "none"},
        "checks": {
            "enabled": False,
            "not_a_server_error": {"enabled": True, "expected-statuses": ["2xx", "4xx", "502", "503", "507"]},
            **{name: {"enabled": True} for name in CHECKS[1:]},
        },
        "phases": {"stateful": {"enabled": False}},
        # GET asks for what is there, HEAD, which is answered alike, for anything; nothing of it is deleted meanwhile.
        "operations": [
            {"include-method": "GET", "parameters": known},
            {"include-method": "DELETE", "parameters": {"job_id": str(uuid.uuid4())}},
            {"include-method": "HEAD", "phases": {"coverage": {"enabled": False}}},
        ],
    }
    path = folder / "schemathesis.toml"
    path.write_text(tomli_w.dumps(config))
    command = ["-m", "schemathesis.cli", "--config-file", str(path), "run", f"{web.url}/schema/openapi.json", *options]
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=150)
    return done.stdout + done.stderr, done.returncode == 0


@pytest.mark.slow
def test_no_request_of_a_user_gets_an_answer_that_is_not_described(web, keys, known, tmp_path):
    said, clean = explore(web, keys["anna"], known, tmp_path)
    assert clean, said
    answered = set(re.findall(r'api_requests_total{endpoint="([^"]+)",method="GET",status="200"}', metrics(web)))
    assert readable(web) - answered == {"/jobs/{job_id}/clouds/live"}  # the known job has ended


@pytest.mark.slow
def test_no_request_of_an_administrator_gets_an_answer_that_is_not_described(web, keys, known, tmp_path):
    theirs = "^/(users|admin/.*|drift/.*|jobs)$"
    said, clean = explore(web, keys["admin"], known, tmp_path, "--include-path-regex", theirs)
    assert clean, said


def test_every_operation_says_who_may_ask_and_what_may_go_wrong(web):
    document = web.anybody.get("/schema/openapi.json").json()
    operations = [(path, *pair) for path, item in document["paths"].items() for pair in item.items()]
    assert document["security"] == [{"bearer": []}]
    public = {path for path, _, operation in operations if operation.get("security") == []}
    assert public == {
        "/health", "/ready", "/metrics", "/auth/token", "/auth/refresh", "/auth/session", "/auth/session/refresh",
        "/uploads", "/uploads/{upload_id}",
    }  # fmt: skip
    for path, method, operation in operations:
        if operation.get("security") != []:
            assert {"400", "401", "429", "503", "507"} <= set(operation["responses"]), path
        assert "requestBody" not in operation or "413" in operation["responses"], (method, path)
        assert all(response["description"] for response in operation["responses"].values())
    for item in document["paths"].values():
        assert "get" not in item or "head" in item


def asked_in(readme):
    """The method and the path of every request that README makes or speaks of."""
    found = re.findall(r"`([A-Z]+) (/[^`?]*)`", readme)
    for line in re.split(r"\n|&&|\|", readme):
        if (place := re.search(r"\$URL(\$PLACE)?([^\s\"'?;)]*)", line)) is None:
            continue
        told = re.search(r"-X ([A-Z]+)", line)
        sends = re.search(r"--json|-F ", line)
        method = told[1] if told else "HEAD" if " -I " in line else "POST" if sends else "GET"
        found.append((method, ("/uploads/x" if place[1] else "") + place[2]))
    return found


def test_readme_shows_every_endpoint(web):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    document = web.anybody.get("/schema/openapi.json").json()
    shown = asked_in(readme)
    missing = []
    for template, item in document["paths"].items():
        path = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template))
        wanted = {name.upper() for name in item} & {"GET", "POST", "PATCH", "DELETE"}
        missing += [
            f"{name} {template}" for name in wanted if not any(n == name and path.fullmatch(p) for n, p in shown)
        ]
    assert missing == []
