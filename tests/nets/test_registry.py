import importlib.util
import sys

import pytest

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.errors import ConfigError, DependencyError
from reconflow.nets import registry
from reconflow.nets.catalogue import WEIGHTS
from reconflow.nets.registry import (
    ACCEPTANCE_INLIERS,
    EXTRACTORS,
    MATCHERS,
    combination,
    combinations,
    create_extractor,
    create_matcher,
)


def test_the_defaults_make_what_needs_nothing_where_no_run_settles_them():
    assert create_extractor(ExtractConfig().extractor).name == "sift"
    assert create_matcher(MatchConfig().matcher).name == "adalam"
    assert create_matcher(MatchConfig().matcher, extractor=ExtractConfig().extractor).name == "adalam"
    assert create_matcher("auto", extractor="xfeat").name == "mnn"


@pytest.mark.parametrize(("extractor", "matcher"), list(ACCEPTANCE_INLIERS))
def test_what_goes_together_can_be_made(extractor, matcher):
    assert create_extractor(extractor).name == extractor
    made = create_matcher(matcher, extractor=extractor)
    assert made.name == matcher
    assert made.acceptance_inliers == ACCEPTANCE_INLIERS[extractor, matcher] >= 8


def test_every_extractor_and_matcher_goes_with_something():
    assert {extractor for extractor, _ in ACCEPTANCE_INLIERS} == set(EXTRACTORS)
    assert {matcher for _, matcher in ACCEPTANCE_INLIERS} == set(MATCHERS)


def test_all_weights_are_known():
    named = {name for entry in EXTRACTORS.values() for name in entry.weights}
    named |= {name for entry in MATCHERS.values() for name in entry.weights.values()}
    assert named <= set(WEIGHTS)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="unknown extractor 'sitf': choose one of"):
        create_extractor("sitf")
    with pytest.raises(ConfigError, match="unknown matcher 'lowe': choose one of adalam, lighterglue"):
        create_matcher("lowe")
    with pytest.raises(ConfigError, match="unknown extractor 'surf'"):
        create_matcher("ratio", extractor="surf")


def test_what_does_not_go_together_names_what_does():
    with pytest.raises(ConfigError, match="lighterglue does not match features of sift: choose one of adalam, ratio"):
        create_matcher("lighterglue", extractor="sift")


def test_a_combination_without_weights_is_unusable_and_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path))
    assert combination("sift", "adalam").usable
    found = combination("aliked-n16", "lightglue")
    assert not found.usable
    for part in ("aliked-n16.pth", "aliked_lightglue.pth", "reconflow weights fetch", str(tmp_path)):
        assert part in found.reason
    (tmp_path / "aliked-n16.pth").touch()
    assert combination("aliked-n16", "mnn").usable


def test_without_torch_nothing_learned_is_usable_and_the_rest_is(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    usable = {found.name for found in combinations() if found.usable}
    assert usable == {"sift+adalam", "sift+ratio"}
    assert "pip install" in combination("xfeat", "mnn").reason
    with pytest.raises(DependencyError, match="torch not installed"):
        create_extractor("xfeat")


def test_the_table_is_read_without_torch():
    import subprocess

    code = "import sys; from reconflow.nets.registry import combinations; combinations(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint({"torch", "kornia", "cv2", "faiss"})
