import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ui
ROOT = Path(__file__).parents[2]


def test_the_page_s_own_tests_pass():
    if not (ROOT / "webapp" / "ui" / "node_modules").exists():
        pytest.skip("the page's tools are not installed: make ui")
    done = subprocess.run([sys.executable, "hatch_build.py", "run", "test"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
