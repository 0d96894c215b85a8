import pytest

from reconflow.config import load_config
from reconflow.errors import ConfigError
from reconflow.nets.choice import chosen
from reconflow.nets.methods import Method, extractors_of, parse_methods, weights_of, why_unusable
from reconflow.presets import NEEDS_NO_WEIGHTS, PRESETS


def test_names_are_paired_in_order():
    found = parse_methods("sift,aliked-n16rot", "adalam,mnn")
    assert found == (Method(("sift",), "adalam"), Method(("aliked-n16rot",), "mnn"))


def test_the_coarse_pass_goes_by_a_ratio_for_sift_and_by_likeness_for_networks_it_was_measured_for():
    found = [parse_methods(*names)[0] for names in (("sift", "adalam"), ("xfeat", "mnn"), ("superpoint", "mnn"))]
    assert [(method.coarse, method.alike > 0) for method in found] == [(True, False), (True, True), (False, False)]
    assert not parse_methods("sift", "mast3r")[0].coarse


def test_one_matcher_serves_all_extractors():
    assert parse_methods("aliked-t16, xfeat", "mnn") == (Method(("aliked-t16",), "mnn"), Method(("xfeat",), "mnn"))


def test_an_extractor_may_stand_twice_and_is_run_once():
    methods = parse_methods("xfeat,xfeat", "mnn,lighterglue")
    assert extractors_of(methods) == ("xfeat",)
    assert [weights.name for weights in weights_of(methods)] == ["xfeat", "lighterglue-xfeat"]


def test_the_same_method_twice_is_one():
    assert len(parse_methods("sift,sift", "adalam,adalam")) == 1


@pytest.mark.parametrize(
    ("extractors", "matchers", "words"),
    [
        ("sift,xfeat,aliked-n16", "adalam,mnn", "names 2 matchers for 3 extractors"),
        ("sift,", "adalam", "names nothing"),
        ("surf", "adalam", "unknown extractor 'surf'"),
        ("sift", "magic", "unknown matcher 'magic'"),
        ("sift,xfeat", "lighterglue", "lighterglue does not match features of sift"),
    ],
)
def test_what_cannot_be_is_told(extractors, matchers, words):
    with pytest.raises(ConfigError, match=words):
        parse_methods(extractors, matchers)


def test_what_is_missing_is_told_of_all_methods_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path))
    assert why_unusable("sift", "adalam") == ""
    reason = why_unusable("sift,aliked-n16", "adalam,mnn")
    assert "aliked-n16.pth" in reason
    reason = why_unusable("aliked-n16,superpoint", "mast3r_hybrid")
    assert all(reason.count(part) == 1 for part in ("aliked-n16.pth", "MASt3R_ViTLarge"))


def test_every_preset_names_methods_that_go_together():
    for name in PRESETS:
        config = load_config(preset=name)
        names = config.extract.extractor, config.match.matcher
        assert [parse_methods(*chosen(*names, gpus=gpus)[:2]) for gpus in (True, False)]
    config = load_config(preset=NEEDS_NO_WEIGHTS)
    assert not weights_of(parse_methods(config.extract.extractor, config.match.matcher))
