"""How unlike a baseline a scene looks, as values."""

from typing import Literal

import msgspec

Severity = Literal["low", "moderate", "high"]


class DriftCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of a scene beside the baseline."""

    drift: bool
    severity: Severity
    statistic: str
    """Name of ``value``: ``robust_z``."""
    value: float
    threshold: float
    """From which absolute value on it is drift."""
    baseline: float
    """Median of the baseline's scene medians."""
    current: float
    """Median over the scene's photos."""
    n: int
    """Photos looked at."""


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict; without a baseline there are no checks, and a warning says so."""

    drift_detected: bool = False
    severity: Severity = "low"
    checks: dict[str, DriftCheck] = {}
    warnings: tuple[str, ...] = ()


class SceneSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The appearance of one scene's photos: for each feature quantiles at 0, 5, …, 100 percent."""

    n: int
    quantiles: dict[str, tuple[float, ...]]

    def median(self, feature: str) -> float:
        """Return the median of a feature."""
        sketch = self.quantiles[feature]
        return sketch[len(sketch) // 2]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What scenes are compared with: the summaries of the scenes the service is known to do well on."""

    schema: int
    created_at: str
    """ISO 8601, UTC."""
    scenes: dict[str, SceneSummary]
