"""The thumbnail task: small upright JPEGs for the report."""

from reconflow.pipeline.plan import ThumbnailTask
from reconflow.report.thumbnails import thumbnail

MOST_THUMBNAILS = 1500
"""A report shows no more pictures than this, so that neither it nor the client grows with the set."""


def make_thumbnails(task: ThumbnailTask) -> dict[str, bytes]:
    """Return the thumbnail of each photo, by name."""
    return {image.name: thumbnail(image.path, orientation=image.orientation) for image in task.images}
