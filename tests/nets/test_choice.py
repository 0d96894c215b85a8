"""What ``auto`` comes to, by what workers offer and which weights are here."""

import itertools

import pytest

from reconflow.errors import ConfigError
from reconflow.nets.choice import chosen
from reconflow.nets.methods import parse_methods
from reconflow.nets.registry import ACCEPTANCE_INLIERS, EXTRACTORS, MATCHERS

ALL = {name for entry in EXTRACTORS.values() for name in entry.weights} | {
    name for entry in MATCHERS.values() for name in entry.weights.values()
}


def choose(extractors, matchers, *, gpus, have=ALL):
    """Choose on a machine with these weights."""

    def lacks(extractor, matcher):
        needed = [*EXTRACTORS[extractor].weights, *filter(None, [MATCHERS[matcher].weights.get(extractor)])]
        return [f"no {name}" for name in needed if name not in have]

    return chosen(extractors, matchers, gpus=gpus, lacks=lacks)


def test_cores_match_with_what_needs_nothing_and_there_is_nothing_to_tell():
    assert choose("auto", "auto", gpus=False) == ("sift", "adalam", "")


def test_gpus_and_weights_match_with_aliked_and_lightglue_and_that_is_told():
    found = choose("auto", "auto", gpus=True)
    assert found[:2] == ("aliked-n16rot", "lightglue")
    assert found.why.endswith("aliked-n16rot+lightglue match photos; workers offer GPUs, and the weights are here")


@pytest.mark.parametrize("absent", ["aliked-n16rot", "lightglue-aliked"])
def test_gpus_without_the_weights_match_as_cores_do_and_what_is_missing_is_told(absent):
    found = choose("auto", "auto", gpus=True, have=ALL - {absent})
    assert found[:2] == ("sift", "adalam")
    assert (
        f"sift+adalam match photos; workers offer GPUs, but aliked-n16rot+lightglue cannot run: no {absent}"
        in found.why
    )


@pytest.mark.parametrize("gpus", [True, False])
@pytest.mark.parametrize(("extractor", "matcher"), list(ACCEPTANCE_INLIERS))
def test_methods_that_are_named_stay_whatever_there_is(extractor, matcher, gpus):
    assert choose(extractor, matcher, gpus=gpus, have=set()) == (extractor, matcher, "")


@pytest.mark.parametrize(
    ("extractors", "gpus", "have", "matchers"),
    [
        ("sift", True, ALL, "adalam"),
        ("aliked-n16", False, ALL, "adalam"),
        ("aliked-n16", True, ALL, "lightglue"),
        ("aliked-n16", True, ALL - {"lightglue-aliked"}, "adalam"),
        ("aliked-n16", True, set(), "adalam"),
        ("aliked-t16", True, ALL, "adalam"),
        ("xfeat", False, ALL, "mnn"),
        ("xfeat", True, ALL, "lighterglue"),
        ("superpoint", True, ALL, "lightglue"),
        ("superpoint-open", True, ALL, "mnn"),
        ("sift, aliked-n32", False, ALL, "adalam"),
        ("sift,xfeat", True, ALL, "adalam,lighterglue"),
    ],
)
def test_an_extractor_that_is_named_gets_the_matcher_that_suits_it(extractors, gpus, have, matchers):
    found = choose(extractors, "auto", gpus=gpus, have=have)
    assert found[:2] == (extractors.replace(" ", ""), matchers)
    assert found.why.startswith("match.matcher is auto: ")


@pytest.mark.parametrize(
    ("matchers", "gpus", "have", "extractors"),
    [
        ("adalam", False, ALL, "sift"),
        ("adalam", True, ALL, "aliked-n16rot"),
        ("adalam", True, set(), "sift"),
        ("ratio", True, ALL, "sift"),
        ("mnn", False, ALL, "aliked-n16rot"),
        ("mnn", False, {"xfeat"}, "xfeat"),
        ("lightglue", False, set(), "aliked-n16rot"),
        ("lighterglue", True, ALL, "xfeat"),
        ("mast3r", True, ALL, "sift"),
        ("mast3r_hybrid", True, ALL, "aliked-n16rot"),
        ("mast3r_hybrid", False, ALL, "sift"),
        ("adalam,mnn", False, ALL, "sift,aliked-n16rot"),
    ],
)
def test_a_matcher_that_is_named_gets_the_extractor_that_suits_it(matchers, gpus, have, extractors):
    found = choose("auto", matchers, gpus=gpus, have=have)
    assert found[:2] == (extractors, matchers)
    assert found.why.startswith("extract.extractor is auto: ")


def test_what_would_suit_better_and_lacks_weights_is_told():
    why = choose("aliked-n16", "auto", gpus=True, have=ALL - {"lightglue-aliked"}).why
    assert "aliked-n16+adalam match photos; aliked-n16+lightglue cannot run: no lightglue-aliked" in why


def test_whatever_is_chosen_goes_together_and_is_no_mast3r():
    for gpus, have in itertools.product((True, False), (ALL, set())):
        for extractor in EXTRACTORS:
            found = choose(extractor, "auto", gpus=gpus, have=have)
            assert parse_methods(*found[:2])
            assert not MATCHERS[found.matchers].encoder
        for matcher in MATCHERS:
            assert parse_methods(*choose("auto", matcher, gpus=gpus, have=have)[:2])


@pytest.mark.parametrize(
    "names", [("surf", "auto"), ("auto", "magic"), ("sift,", "auto"), ("sift,auto", "adalam,auto")]
)
def test_names_that_cannot_be_are_told(names):
    with pytest.raises(ConfigError, match=r"surf|magic|names nothing|unknown matcher 'auto'"):
        parse_methods(*chosen(*names, gpus=False)[:2])
