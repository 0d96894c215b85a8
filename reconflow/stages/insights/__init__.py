"""What became of every photo, how good the models are, and what would make them better: the content of report.json."""

from reconflow.stages.insights.facts import (
    IMAGE_COLUMNS,
    ImageFate,
    Insights,
    ModelSummary,
    Status,
    WeakLink,
    image_table,
)
from reconflow.stages.insights.fates import insights

__all__ = [
    "IMAGE_COLUMNS",
    "ImageFate",
    "Insights",
    "ModelSummary",
    "Status",
    "WeakLink",
    "image_table",
    "insights",
]
