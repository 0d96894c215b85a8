import re
import shutil
import signal
from pathlib import Path

import httpx
import pytest

from reconflow.world.photos import make_sample
from webapp.page import FOLDER

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
PASSWORD = "correct horse"
# A software renderer, because build machines have no GPU; no sandbox, because containers forbid it.
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="session")
def service(serving, tmp_path_factory):
    """``reconflow serve`` in a process of its own, with the page built."""
    if not (FOLDER / "index.html").exists():
        pytest.skip("the page is not built: make ui")
    started = serving(
        tmp_path_factory.mktemp("service"),
        "--workers",
        "2",
        RECONFLOW_ADMIN_PASSWORD=PASSWORD,
        RECONFLOW_LEASE_S="5",
        RECONFLOW_MIN_FREE_BYTES="1000000",
    )
    started.wait_until_up("/ready")
    yield started
    started.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def api(service):
    """An administrator's client of the service."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        answer = client.post("/auth/token", json={"username": "admin", "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def context(browser, service):
    """A browser's profile: cookies and storage of its own. Nothing may be asked of any other host."""
    made = browser.new_context(base_url=service.url, viewport={"width": 1280, "height": 860}, accept_downloads=True)
    made.set_default_timeout(15_000)
    elsewhere = []
    made.on("request", lambda request: elsewhere.append(request.url) if is_elsewhere(request.url, service) else None)
    yield made
    made.close()
    assert not elsewhere


def is_elsewhere(url, service):
    return not url.startswith((service.url, "blob:", "data:", "about:"))


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


@pytest.fixture
def signed_in(page):
    """A tab whose user has signed in."""
    sign_in(page)
    return page


def sign_in(page, address="/"):
    page.goto(address)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation", name="Main").wait_for()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of six photos of one scene."""
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480)
    ).images


@pytest.fixture(scope="session")
def shot():
    """Takes a picture of a tab for people to look at: light and dark, on a desk and on a phone."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def take(page, name, *, full=True):
        before = page.viewport_size
        for width, height in ((1280, 860), (400, 860)):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_timeout(150)  # colours fade over
                page.screenshot(
                    path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=full, animations="disabled"
                )
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(before)

    return take
