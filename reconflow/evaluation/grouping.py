"""Poses of a CSV grouped as dataset → scene → image, checked to name the same images on both sides."""

from collections.abc import Sequence

from reconflow.core.cameras import Pose
from reconflow.core.submission import OUTLIERS, PoseRow
from reconflow.errors import InputError

Clusters = dict[str, dict[str, Pose | None]]
"""Scene → image → pose, in the order of the file."""


def by_dataset(rows: Sequence[PoseRow], owner: str) -> dict[str, Clusters]:
    """Group rows, keeping their order; ``owner`` names the side in messages.

    Raises
    ------
    InputError
        If a dataset names an image twice.

    """
    grouped: dict[str, Clusters] = {}
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.dataset, row.image) in seen:
            raise InputError(f"{owner} names {row.dataset}/{row.image} twice; keep one of the lines", item=row.image)
        seen.add((row.dataset, row.image))
        grouped.setdefault(row.dataset, {}).setdefault(row.scene, {})[row.image] = row.cam_from_world
    return grouped


def completed(clusters: Clusters | None, truth: Clusters, *, dataset: str, lenient: bool) -> Clusters:
    """Return the submitted clusters with exactly the truth's images.

    Missing images become outliers and unknown ones are left out if ``lenient``; clusters emptied by that stay.

    Raises
    ------
    InputError
        If images are missing or unknown and ``lenient`` is off.

    """
    if clusters is None and not lenient:
        raise InputError(f"the submission lacks the dataset {dataset}; add it or score leniently", item=dataset)
    wanted = {image for images in truth.values() for image in images}
    given = {image for images in (clusters or {}).values() for image in images}
    unknown, missing = sorted(given - wanted), sorted(wanted - given)
    if unknown and not lenient:
        raise InputError(
            f"the submission names {len(unknown)} images that {dataset} does not have, first {unknown[0]}; "
            "remove them or score leniently",
            item=unknown[0],
        )
    if missing and not lenient:
        raise InputError(
            f"the submission lacks {len(missing)} images of {dataset}, first {missing[0]}; add them or score leniently",
            item=missing[0],
        )
    kept = {
        scene: {image: pose for image, pose in images.items() if image in wanted}
        for scene, images in (clusters or {}).items()
    }
    if missing:
        kept.setdefault(OUTLIERS, {}).update(dict.fromkeys(missing))
    return kept
