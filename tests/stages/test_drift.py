import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconflow.core.images import ImageStats
from reconflow.stages.drift import FEATURES, build_baseline, check_drift, scene_summary

TYPICAL = {
    "brightness": 0.45,
    "contrast": 0.22,
    "saturation": 0.3,
    "sharpness": -5.0,
    "noise": 0.02,
    "clipping": 0.02,
    "entropy": 7.2,
}


def scene(n=12, *, seed=0, width=4000, height=3000, **changes):
    """A scene of photos that differ a little, of an appearance of its own."""
    rng = np.random.default_rng(seed)
    own = {name: value * (1 + 0.05 * rng.standard_normal()) for name, value in TYPICAL.items()} | changes
    photos = [{k: v * (1 + 0.02 * rng.standard_normal()) for k, v in own.items()} for _ in range(n)]
    return scene_summary([(ImageStats(**photo), width, height) for photo in photos])


BASELINE = build_baseline({f"s{seed}": scene(seed=seed) for seed in range(20)}, created_at="2026-01-01", schema=1)


def test_a_scene_like_those_of_the_baseline_does_not_drift():
    reports = [check_drift(scene(seed=seed), BASELINE) for seed in range(100, 160)]
    assert sum(report.drift_detected for report in reports) <= 3
    assert set(reports[0].checks) == set(FEATURES)


@pytest.mark.parametrize(
    ("feature", "changes"),
    [
        ("brightness", {"brightness": 0.08}),
        ("contrast", {"contrast": 0.03}),
        ("saturation", {"saturation": 0.0}),
        ("sharpness", {"sharpness": -9.0}),
        ("noise", {"noise": 0.1}),
        ("clipping", {"clipping": 0.5}),
        ("entropy", {"entropy": 3.0}),
        ("megapixels", {"width": 12000, "height": 9000}),
        ("aspect_ratio", {"width": 6000, "height": 2000}),
    ],
)
def test_a_changed_feature_is_found_and_named(feature, changes):
    report = check_drift(scene(seed=7, **changes), BASELINE)
    assert (report.drift_detected, report.severity) == (True, "high")
    check = report.checks[feature]
    assert check.drift
    assert (check.severity, check.statistic, check.threshold, check.n) == ("high", "robust_z", 3.0, 12)
    assert check.value == pytest.approx(
        (check.current - check.baseline) / abs(check.current - check.baseline) * abs(check.value)
    )


def shifted(**z):
    """A scene whose features stand at given robust z-scores of a baseline without spread, so of the floors."""
    known = build_baseline({f"s{i}": flat() for i in range(6)}, created_at="", schema=1)
    floors = {"brightness": 0.05, "contrast": 0.035, "saturation": 0.05, "entropy": 0.35}
    wider = (1 + np.pi / 2 / 6) ** 0.5  # as six scenes do not say well where the middle is
    return check_drift(flat(**{name: TYPICAL[name] + floors[name] * wider * by for name, by in z.items()}), known)


def flat(**changes):
    return scene_summary([(ImageStats(**(TYPICAL | changes)), 4000, 3000)] * 6)


@pytest.mark.parametrize(
    ("z", "severity"),
    [
        ({}, "low"),
        ({"brightness": 2.9}, "low"),
        ({"brightness": -3.1}, "moderate"),
        ({"brightness": 4.9, "contrast": 3.5}, "moderate"),
        ({"brightness": 3.1, "contrast": 3.1, "saturation": -3.1}, "high"),
        ({"entropy": -5.1}, "high"),
    ],
)
def test_the_verdict_is_high_with_one_high_or_three_moderate_features(z, severity):
    report = shifted(**z)
    assert report.severity == severity
    assert report.drift_detected == (severity != "low")
    for name, by in z.items():
        assert report.checks[name].value == pytest.approx(by, abs=1e-3)


@pytest.mark.parametrize("half", [(2000, 1500), (8000, 6000)])
def test_half_the_pixels_each_way_are_as_far_off_as_twice_as_many(half):
    known = build_baseline({f"s{i}": flat() for i in range(6)}, created_at="", schema=1)
    seen = scene_summary([(ImageStats(**TYPICAL), *half)] * 6)
    check = check_drift(seen, known).checks["megapixels"]
    assert (check.severity, check.baseline, check.current) == ("moderate", 12, half[0] * half[1] / 1e6)
    assert abs(check.value) == pytest.approx(2 / 0.5 / (1 + np.pi / 2 / 6) ** 0.5, abs=1e-3)


def test_one_scene_says_less_of_what_is_usual_than_many():
    def brightness(scenes):
        known = build_baseline({f"s{i}": flat() for i in range(scenes)}, created_at="", schema=1)
        return check_drift(flat(brightness=TYPICAL["brightness"] + 0.2), known).checks["brightness"].value

    assert 2.4 < brightness(1) < 2.6
    assert 3.9 < brightness(40) < 4.0


def test_portrait_and_landscape_have_the_same_aspect_ratio():
    assert not check_drift(scene(seed=7, width=3000, height=4000), BASELINE).checks["aspect_ratio"].drift


def test_without_a_baseline_there_is_a_warning_and_no_verdict():
    for none in (None, build_baseline({}, created_at="", schema=1)):
        report = check_drift(scene(), none)
        assert (report.checks, report.severity, report.drift_detected) == ({}, "low", False)
        assert "no baseline" in report.warnings[0]


@pytest.mark.parametrize("n", [0, 4])
def test_fewer_than_five_photos_are_too_few_to_judge(n):
    report = check_drift(scene(n), BASELINE)
    assert (report.checks, report.severity) == ({}, "low")
    assert "insufficient data" in report.warnings[0]


def test_a_small_baseline_is_judged_by_the_floors_and_says_so():
    report = check_drift(scene(seed=7), build_baseline({"only": scene(seed=8)}, created_at="", schema=1))
    assert report.checks
    assert "small baseline" in report.warnings[0]


@given(st.permutations(range(9)))
def test_the_order_of_photos_does_not_matter(order):
    photos = [(ImageStats(**(TYPICAL | {"noise": 0.01 * i})), 100 + i, 100) for i in range(9)]
    assert scene_summary([photos[i] for i in order]) == scene_summary(photos)
