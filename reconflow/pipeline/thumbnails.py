"""The thumbnail task: small upright JPEGs for the report."""

from reconflow.pipeline.control import RunLine, TaskControl
from reconflow.pipeline.work_items import ThumbnailTask
from reconflow.report.thumbnails import thumbnail

MOST_THUMBNAILS = 1500
"""A report shows no more pictures than this, so that neither it nor the client grows with the set."""


def make_thumbnails(task: ThumbnailTask, line: RunLine) -> dict[str, bytes]:
    """Return the thumbnail of each photo, by name."""
    control = TaskControl(line, stage="report", task=task.key)
    found: dict[str, bytes] = {}
    for image in task.images:
        control.check()
        found[image.name] = thumbnail(image.path, orientation=image.orientation)
    return found
