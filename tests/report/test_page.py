"""The page in a real browser: it draws, answers, and does nothing it was not asked to."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

from reconflow.report.html import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = (
    "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--virtual-time-budget=8000",
    "--window-size=1200,900", "--dump-dom",
)  # fmt: skip

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome on the PATH"),
]


@pytest.fixture
def browse(tmp_path):
    """Open a run's page, carry out a script inside it, and return what the script left in ``out`` and the page."""

    def run(finished, script="", *, switches=()):
        path = tmp_path / "report.html"
        write_report(
            path,
            insights=finished.insights,
            models=finished.models,
            clouds=finished.clouds,
            thumbnails=finished.thumbnails,
            pairs=finished.pairs,
            title="Old town",
        )
        text = path.read_text(encoding="utf-8")
        end = text.rindex("})();")
        probe = (
            "const out = {};\n"
            "window.onerror = (message) => { out.error = message; };\n"
            "const until = async (done) => { while (!done()) await new Promise((go) => setTimeout(go, 50)); };\n"
            f"(async () => {{ {script}\n"
            "document.documentElement.dataset.out = JSON.stringify(out); })();\n"
        )
        path.write_text(text[:end] + probe + text[end:], encoding="utf-8")
        command = [BROWSER, *SWITCHES, *switches, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        root = re.search(r"<html[^>]*>", dom).group()
        found = re.search(r'data-out="([^"]*)"', root)
        assert found, "the page did not come to what the script waits for"
        return json.loads(unescape(found.group(1))), root

    return run


def test_the_view_is_drawn_and_hostile_names_do_nothing(finished, browse):
    out, root = browse(
        finished,
        """
        await until(() => document.documentElement.dataset.view);
        const canvas = byId("view");
        viewer.painter.draw({ transform: viewer.camera.matrix(viewer.aspect), distance: viewer.camera.distance,
          pointSize: 1.4, lineWidth: 2, background: BACKGROUND, showLines: true });
        const gl = viewer.painter.gl, pixels = new Uint8Array(canvas.width * canvas.height * 4);
        gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        out.bright = 0; out.blue = 0;
        for (let i = 0; i < pixels.length; i += 4) {
          const [r, g, b] = pixels.slice(i, i + 3);
          out.bright += r > 60; out.blue += b > 180 && r < 100;
        }
        out.size = canvas.width * canvas.height;
        """,
    )
    assert 'data-view="drawn"' in root
    assert 'data-page="ready"' in root
    assert "pwned" not in root
    assert "error" not in out
    assert out["bright"] > 0.02 * out["size"]  # points
    assert out["blue"] > 500  # frusta, in the first cluster's colour


def test_a_click_on_a_frustum_shows_its_photo_and_keys_go_on(finished, browse):
    out, _ = browse(
        finished,
        """
        const camera = viewer.cameras[3], canvas = byId("view"), box = canvas.getBoundingClientRect();
        const seen = camera.corners.map((p) => transformed(viewer.camera.matrix(viewer.aspect), p));
        const at = [0, 1].map((k) => mean(...seen.map((p) => [p[0] / p[3], p[1] / p[3], 0]))[k]);
        const event = { pointerId: 1, button: 0, bubbles: true,
          clientX: box.left + (at[0] + 1) * box.width / 2, clientY: box.top + (1 - at[1]) * box.height / 2 };
        canvas.setPointerCapture = () => {};
        canvas.dispatchEvent(new PointerEvent("pointerdown", event));
        canvas.dispatchEvent(new PointerEvent("pointerup", event));
        out.wanted = data.photos[camera.photo].name;
        out.title = document.querySelector("#selected h3").textContent;
        out.row = document.querySelector("tr.chosen bdi").textContent;
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
        out.next = document.querySelector("#selected h3").textContent;
        out.nextWanted = data.photos[viewer.cameras[4].photo].name;
        const far = viewer.camera.distance;
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "+", bubbles: true }));
        out.nearer = viewer.camera.distance < far;
        """,
    )
    assert out["title"] == out["wanted"] == out["row"]
    assert out["next"] == out["nextWanted"]
    assert out["nearer"]


def test_a_click_in_the_table_opens_the_photos_cluster_and_flies_to_its_camera(finished, browse):
    name = "street/DSC00703.JPG"
    out, _ = browse(
        finished,
        f"""
        const photo = data.photos.findIndex((p) => p.name === {json.dumps(name)});
        document.querySelector(`tr[data-row="${{photo}}"] button`).click();
        const camera = viewer.cameras.find((c) => c.photo === photo);
        const away = () => Math.hypot(...subtract(viewer.camera.eye, camera.corners[0]));
        await until(() => viewer.painter.photo && away() < 0.3);
        out.scene = data.scenes[viewer.current].name;
        out.ahead = dot(unit(subtract(viewer.camera.target, viewer.camera.eye)),
          unit(subtract(mean(...camera.corners.slice(1)), camera.corners[0])));
        """,
        # The browser's virtual clock and its frames do not keep step, so no glide: the view jumps, as it does for
        # people who ask for that.
        switches=("--force-prefers-reduced-motion",),
    )
    assert out["scene"] == "cluster1_model0"
    assert out["ahead"] > 0.99


def test_the_table_sorts_filters_and_finds(finished, browse):
    out, _ = browse(
        finished,
        """
        const names = () => [...document.querySelectorAll("tbody tr:not([hidden]) bdi")].map((b) => b.textContent);
        document.querySelector('[data-sort="observations"]').click();
        out.most = names()[0];
        document.querySelector('[data-filter="outlier"]').click();
        out.outliers = names().sort();
        document.querySelector('[data-filter="all"]').click();
        byId("search").value = "VASE"; byId("search").dispatchEvent(new Event("input"));
        out.found = names().length;
        byId("search").value = "nowhere"; byId("search").dispatchEvent(new Event("input"));
        out.nothing = !byId("no-rows").hidden;
        """,
    )
    most = max(finished.insights.images, key=lambda fate: fate.observations)
    assert out["most"] == most.name
    assert out["outliers"] == sorted(f.name for f in finished.insights.images if f.status == "outlier")
    assert out["found"] == 4
    assert out["nothing"]


def test_without_webgl_the_rest_of_the_page_works(finished, browse):
    out, root = browse(
        finished,
        """
        out.note = byId("stage-note").textContent;
        document.querySelector('tr[data-row="5"] button').click();
        out.title = document.querySelector("#selected h3").textContent;
        """,
        switches=("--disable-gpu", "--disable-3d-apis"),
    )
    assert 'data-view="none"' in root
    assert "WebGL" in out["note"]
    assert out["title"] == finished.insights.images[5].name


def test_a_page_without_models_has_no_errors(hopeless, browse):
    out, root = browse(hopeless, "document.querySelector('tr[data-row=\"1\"] button').click();")
    assert out == {}
    assert 'data-page="ready"' in root
