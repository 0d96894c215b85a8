import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.ui
ROOT = Path(__file__).parents[2]


def test_the_page_s_own_tests_pass():
    if not (ROOT / "webapp" / "ui" / "node_modules").exists() and os.environ.get("RECONFLOW_TEST_UI") != "required":
        pytest.skip("the page's tools are not installed: make ui")
    done = subprocess.run([sys.executable, "hatch_build.py", "run", "test"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    archives = ROOT / "build" / "page-tests" / "archives"
    with zipfile.ZipFile(archives / "few.zip") as few:
        assert few.testzip() is None
        assert few.namelist() == ["a.jpg", "über/naïve – 写真.png", "empty.jpg", "z/last.jpg"]
        assert [entry.file_size for entry in few.infolist()] == [1000, 70_001, 0, 13]
    with zipfile.ZipFile(archives / "many.zip") as many:
        assert len(many.namelist()) == 66_000
        assert many.read("65999.jpg") == bytes([66_000 * 16807 % 2147483647 & 255])
