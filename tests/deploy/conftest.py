import re
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
_ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|", re.MULTILINE)
_WORDS = {"and", "or", "unless", "on", "ignoring", "bool"}


@pytest.fixture(scope="session")
def deploy():
    """The folder of deployment files."""
    return DEPLOY


@pytest.fixture(scope="session")
def documented():
    """Kind by metric, from the list in the documentation."""
    return dict(_ROW.findall((DEPLOY / "prometheus" / "README.md").read_text()))


@pytest.fixture(scope="session")
def unknown_metrics(documented):
    """Return a function that lists what an expression names and nobody tells."""
    known = {"up", *documented}
    for name, kind in documented.items():
        known |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else set()

    def find(expression):
        bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without)\s*\([^)]*\)", " ", expression)
        return set(re.findall(r"(?<![\w.])[a-zA-Z_]\w*\b(?!\s*\()", bare)) - _WORDS - known

    return find
