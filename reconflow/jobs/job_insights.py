"""A job told in numbers: how far it came, how unlike the baseline its photos look, and what to do about that."""

import msgspec

from reconflow.core.drift import DriftReport, Severity
from reconflow.errors import NotFoundError
from reconflow.jobs.records import Job
from reconflow.jobs.results import JobResult, RunDetails


class JobInsights(msgspec.Struct, frozen=True, kw_only=True):
    """A job in a few numbers, and what to do about its drift."""

    registration_rate: float | None
    n_points: int
    has_drift: bool
    drift_severity: Severity
    drift_report: DriftReport
    recommendation: str
    details: RunDetails | None = None
    """The run in numbers and words; null while there is no result."""


def job_insights(job: Job, result: JobResult) -> JobInsights:
    """Return what is known of a job, whether it has a result or not."""
    return JobInsights(
        registration_rate=job.registration_rate,
        n_points=job.n_points,
        has_drift=job.drift.drift_detected,
        drift_severity=job.drift.severity,
        drift_report=job.drift,
        recommendation=_recommendation(job.drift),
        details=_details(result),
    )


def _details(result: JobResult) -> RunDetails | None:
    try:
        return result.details()
    except NotFoundError:
        return None


def _recommendation(drift: DriftReport) -> str:
    if not drift.drift_detected:
        return "No action needed."
    far = sorted(name for name, check in drift.checks.items() if check.severity != "low")
    features = ", ".join(far)
    if drift.severity == "high":
        return f"These photos are unlike those the service was tuned on ({features}): check the result and retrain."
    return f"These photos differ from those the service was tuned on ({features}): check the result."
