import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from reconflow.world.photos import make_sample
from webapp.page import FOLDER

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
PASSWORD = "correct horse"
# A software renderer, because build machines have no GPU; no sandbox, because containers forbid it.
SETTLED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))).then(() =>
  Promise.allSettled(document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished)))"""
SLOW = 120_000
"""Bytes a second: the photos take some six seconds."""
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def missing(what):
    """Skip for want of something, or fail where these tests have to run."""
    (pytest.fail if os.environ.get("RECONFLOW_TEST_UI") == "required" else pytest.skip)(what)


@pytest.fixture(scope="session")
def service(serving, tmp_path_factory):
    """``reconflow serve`` in a process of its own, with the page built."""
    if not (FOLDER / "index.html").exists():
        missing("the page is not built: make ui")
    data_dir = tmp_path_factory.mktemp("service")
    started = serving(
        data_dir,
        "--workers",
        "2",
        RECONFLOW_ADMIN_PASSWORD=PASSWORD,
        RECONFLOW_LEASE_S="5",
        RECONFLOW_MIN_FREE_BYTES="1000000",
    )
    started.data_dir = data_dir
    started.wait_until_up("/ready")
    yield started
    started.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def api(service):
    """An administrator's client of the service."""
    with httpx.Client(base_url=service.url, timeout=60, auth=_Renewed(service.url)) as client:
        yield client


class _Renewed(httpx.Auth):
    """Signs in when it has to: the tests take longer than a token lasts."""

    requires_response_body = True

    def __init__(self, url):
        self.url = url
        self.token = "none-yet"

    def auth_flow(self, request):
        if "Authorization" in request.headers:  # a key or a token that a test tries
            yield request
            return
        request.headers["Authorization"] = f"Bearer {self.token}"
        answer = yield request
        if answer.status_code == 401:
            account = {"username": "admin", "password": PASSWORD}
            signed_in = yield httpx.Request("POST", f"{self.url}/auth/token", json=account)
            self.token = signed_in.json()["access_token"]
            request.headers["Authorization"] = f"Bearer {self.token}"
            yield request


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("there is no chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        running.close()


class Cable:
    """A line to a service that can be cut and mended: what is on its way is lost, as on a train."""

    def __init__(self, url):
        host, port = re.fullmatch(r"http://(.+):(\d+)", url).groups()
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends = []
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self._is_cut = True
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self):
        self._is_cut = False

    def close(self):
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def cable(service):
    """The line between a browser and the service."""
    laid = Cable(service.url)
    yield laid
    laid.close()


@pytest.fixture
def context(browser, cable):
    """A browser's profile: cookies and storage of its own. Nothing may be asked of any other host."""
    made = browser.new_context(base_url=cable.url, viewport={"width": 1280, "height": 860}, accept_downloads=True)
    made.set_default_timeout(15_000)
    elsewhere = []
    ours = (cable.url, "blob:", "data:", "about:")
    made.on("request", lambda sent: None if sent.url.startswith(ours) else elsewhere.append(sent.url))
    yield made
    made.close()
    assert not elsewhere


@pytest.fixture
def page(context):
    """A tab; whatever its console reports as an error fails the test, but for answers a test provokes."""
    made = context.new_page()
    wrong = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on(
        "console",
        lambda message: wrong.append(message.text) if message.type == "error" and not expected(message.text) else None,
    )
    yield made
    assert not wrong


def expected(text):
    return re.search(r"Failed to load resource|net::ERR_", text) is not None


@pytest.fixture(scope="session")
def sign_in():
    """Signs in in a tab, at an address of the page."""

    def enter(page, address="/", password=PASSWORD):
        page.goto(address)
        page.get_by_label("Name").fill("admin")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()

    return enter


@pytest.fixture
def signed_in(page, sign_in):
    """A tab whose user has signed in."""
    sign_in(page)
    page.get_by_role("navigation", name="Main").wait_for()
    return page


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of six photos of one scene."""
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480)
    ).images


@pytest.fixture
def files(photos):
    return sorted(photos.iterdir())


@pytest.fixture
def slow_down(context):
    """Lets the uploads of a tab crawl."""

    def limit(page):
        network = context.new_cdp_session(page)
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW}
        network.send("Network.enable")
        network.send("Network.emulateNetworkConditions", limits)

    return limit


@pytest.fixture
def slow(slow_down, signed_in):
    """A tab whose uploads crawl; it tells the offsets that pieces were sent from."""
    slow_down(signed_in)
    signed_in.offsets = []
    signed_in.on(
        "request",
        lambda sent: signed_in.offsets.append(int(sent.headers["upload-offset"])) if sent.method == "PATCH" else None,
    )
    return signed_in


@pytest.fixture(scope="session")
def begin():
    """Chooses files and sends them off as a job."""

    def send(page, files, dataset):
        page.goto("/#/upload")
        page.locator("#choose-files").set_input_files(files)
        page.get_by_label("Project").fill(dataset)
        page.get_by_text("Balanced").wait_for()
        page.get_by_role("button", name="Upload and start").click()

    return send


@pytest.fixture(scope="session")
def opened_job(api):
    """Waits for the job's page and returns the job."""

    def wait(page):
        page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}"), timeout=60_000)
        return api.get(f"/jobs/{page.url.rsplit('/', 1)[1]}").json()

    return wait


@pytest.fixture(scope="session")
def upload(api, photos):
    """Makes a job of the six photos without the page."""

    def send(dataset, **options):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for path in sorted(photos.iterdir()):
                archive.write(path, path.name)
        fields = {"dataset_name": dataset, "options": json.dumps(options)}
        answer = api.post("/upload", files={"file": ("photos.zip", content.getvalue())}, data=fields)
        assert answer.status_code == 202, answer.text
        return answer.json()["job_id"]

    return send


@pytest.fixture(scope="session")
def finished(api, upload):
    """A job that has come through."""
    job_id = upload("Courtyard")
    wait_for(lambda: api.get(f"/jobs/{job_id}").json()["stage"] in ("success", "failed"))
    assert api.get(f"/jobs/{job_id}").json()["stage"] == "success"
    return job_id


def wait_for(condition, timeout_s=120):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="session")
def shot():
    """Takes pictures of a tab for people to look at, light and dark, on a desk and on a phone; axe-core looks along."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    axe = ROOT / "webapp" / "ui" / "node_modules" / "axe-core" / "axe.min.js"

    def take(page, name, *, full=True):
        before = page.viewport_size
        for width, height in ((1280, 860), (400, 860)):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.evaluate(SETTLED)
                picture = f"{name}-{width}-{scheme}"
                page.screenshot(path=SCREENSHOTS / f"{picture}.png", full_page=full, animations="disabled")
                if (width, scheme) in ((1280, "light"), (400, "dark")):
                    require_no_barrier(page, axe, picture)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(before)

    return take


def require_no_barrier(page, axe, name):
    """Fail where axe-core finds what keeps people from using the page, or a phone has to scroll sideways."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    assert axe.exists(), "axe-core is not installed: make ui"
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    serious = [
        (violation["id"], violation["nodes"][0]["html"], violation["nodes"][0].get("failureSummary"))
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert not serious, (name, serious)
