"""The page's files over the wire. What the page does is tested in ``tests/ui``."""

import gzip
import re

import pytest

from webapp.page import FOLDER, page_asset

built = pytest.mark.skipif(not (FOLDER / "index.html").exists(), reason="the page is not built: make ui")


@built
def test_the_page_and_its_assets_need_no_token_and_come_packed(web):
    page = web.anybody.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert {name.rsplit(".", 1)[1] for name in names} >= {"js", "css"}
    for name in names:
        answer = web.anybody.get(name)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"


@built
def test_the_policy_lets_nothing_in_from_elsewhere(web):
    policy = web.anybody.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", web.anybody.get("/").text)


@pytest.mark.parametrize("name", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/none.js", "/static/assets"])
def test_nothing_but_the_page_is_handed_out(web, name):
    assert web.anybody.get(name).status_code == 404


def test_names_stay_in_the_folder(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "secret").write_text("no")
    (tmp_path / "page" / "a.js").write_text("yes")
    assert page_asset("a.js", folder=tmp_path / "page").media_type == "text/javascript"
    assert page_asset("../secret", folder=tmp_path / "page") is None
    assert page_asset("..", folder=tmp_path / "page") is None


@built
def test_the_whole_page_weighs_no_more_than_a_photo():
    files = [path for path in FOLDER.rglob("*") if path.suffix in {".js", ".css", ".html"}]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) <= 250_000
