import pytest

from reconflow.errors import ConfigError
from reconflow.nets.methods import Method, extractors_of, parse_methods, weights_of


def test_names_are_paired_in_order():
    found = parse_methods("sift,aliked-n16rot", "adalam,mnn")
    assert found == (Method(("sift",), "adalam"), Method(("aliked-n16rot",), "mnn"))
    assert [method.coarse for method in found] == [True, False]


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
