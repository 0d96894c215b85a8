"""Does a scene look like those the service is known to do well on?

An upload is one scene and not a random sample of photos: its photos resemble each other far more than photos of
different scenes do, so tests that pool all photos flag nearly every new scene. What is compared is therefore the
scene's median with the medians of the baseline's scenes, by a robust z-score.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from reconflow.core.drift import Baseline, DriftCheck, DriftReport, SceneSummary, Severity
from reconflow.core.images import ImageStats

MODERATE_Z, HIGH_Z = 3.0, 5.0
FEWEST_TO_JUDGE = 5
"""Photos of a scene: the median of fewer says little about it."""
FEWEST_SCENES = 5
"""A median absolute deviation of fewer says little about how scenes differ."""
_QUANTILES = np.linspace(0, 1, 21)
_MAD_TO_SIGMA = 1.4826
"""Of a normal distribution."""
_FLOORS: dict[str, float] = {
    "brightness": 0.05,
    "contrast": 0.035,
    "saturation": 0.05,
    "sharpness": 0.35,
    "noise": 0.004,
    "clipping": 0.02,
    "entropy": 0.35,
    "megapixels": 0.5,
    "aspect_ratio": 0.1,
}
"""Smallest spread a feature is taken to have. A baseline of a few similar scenes has almost none, and would call
differences drift that nobody sees: each floor is about by how much stretches of one flight differ, or scenes that are
rendered alike (`benchmarks/quality/drift.py`). That of ``megapixels`` is in powers of two."""
FEATURES = tuple(_FLOORS)
_MEDIAN_OF_ONE = np.pi / 2
"""Variance of a median of many values over that of one value, times their number."""


def scene_summary(photos: Sequence[tuple[ImageStats, int, int]]) -> SceneSummary:
    """Return the summary of a scene from each photo's statistics, width and height in pixels."""
    values = {name: [_value(name, *photo) for photo in photos] for name in FEATURES}
    quantiles = {
        name: tuple(round(float(v), 6) for v in np.quantile(column, _QUANTILES))
        for name, column in values.items()
        if column
    }
    return SceneSummary(n=len(photos), quantiles=quantiles)


def check_drift(scene: SceneSummary, baseline: Baseline | None) -> DriftReport:
    """Return how unlike the baseline's scenes a scene looks.

    ``high`` with one feature beyond 5 or three beyond 3 robust standard deviations, ``moderate`` with one beyond 3.
    """
    warnings: list[str] = []
    if baseline is None or not baseline.scenes:
        warnings.append("no baseline: there is nothing to compare these photos with")
    if scene.n < FEWEST_TO_JUDGE:
        photos = "1 photo" if scene.n == 1 else f"{scene.n} photos"
        warnings.append(f"insufficient data: {photos}, at least {FEWEST_TO_JUDGE} make a verdict")
    if warnings or baseline is None:
        return DriftReport(warnings=tuple(warnings))
    if len(baseline.scenes) < FEWEST_SCENES:
        warnings.append(f"small baseline: {len(baseline.scenes)} scenes, at least {FEWEST_SCENES} make z-scores sound")
    checks = {name: _check(name, scene, baseline) for name in FEATURES}
    high = sum(check.severity == "high" for check in checks.values())
    moderate = sum(check.severity == "moderate" for check in checks.values())
    severity: Severity = "high" if high or moderate >= 3 else "moderate" if moderate else "low"
    return DriftReport(drift_detected=severity != "low", severity=severity, checks=checks, warnings=tuple(warnings))


def build_baseline(scenes: Mapping[str, SceneSummary], *, created_at: str, schema: int) -> Baseline:
    """Return a baseline of these scenes, by name."""
    return Baseline(schema=schema, created_at=created_at, scenes=dict(sorted(scenes.items())))


def _check(name: str, scene: SceneSummary, baseline: Baseline) -> DriftCheck:
    medians = np.array([known.median(name) for known in baseline.scenes.values()])
    scaled = np.log2 if name == "megapixels" else np.asarray
    center, current = float(np.median(medians)), scene.median(name)
    deviations = scaled(medians) - scaled(center)
    spread = max(_MAD_TO_SIGMA * float(np.median(np.abs(deviations))), _FLOORS[name])
    # Few scenes do not say well either where the middle is that the scene should be near.
    z = float(scaled(current) - scaled(center)) / (spread * (1 + _MEDIAN_OF_ONE / len(medians)) ** 0.5)
    severity: Severity = "high" if abs(z) >= HIGH_Z else "moderate" if abs(z) >= MODERATE_Z else "low"
    return DriftCheck(
        drift=severity != "low",
        severity=severity,
        statistic="robust_z",
        value=round(z, 3),
        threshold=MODERATE_Z,
        baseline=round(center, 6),
        current=round(current, 6),
        n=scene.n,
    )


def _value(name: str, stats: ImageStats, width: int, height: int) -> float:
    if name == "megapixels":
        return width * height / 1e6
    if name == "aspect_ratio":
        return max(width, height) / min(width, height)
    return float(getattr(stats, name))
