"""Intrinsics that photos without EXIF data turn out to have in common."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pycolmap

_FEWEST = 3
_TOLERANCE = 0.03
"""Largest difference from the median focal length; a photo's own estimate scatters by about one percent."""
_MAJORITY = 0.8
"""Share of the photos of one size that must agree: photos from anywhere, brought to one size, do not."""


def share_intrinsics(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction | None:
    """Return the model with one camera for the photos whose estimated focal lengths agree; ``None`` if none do.

    Only photos that came alone with their camera and without a focal length in EXIF are asked. One focal length,
    fitted to all of them, is several times more certain than each photo's own, and so are the poses. The shared
    camera starts from the medians; the model has to be adjusted afterwards, and compared: agreement is a guess.
    """
    shared_with: dict[int, int] = {}
    for group in _agreeing(model):
        shared_with |= dict.fromkeys(group, group[0])
    return _with_shared(model, shared_with) if shared_with else None


def photos_per_camera(model: pycolmap.Reconstruction) -> Counter[int]:
    """Return how many placed photos each camera took."""
    return Counter(model.images[number].camera_id for number in model.reg_image_ids())


def _agreeing(model: pycolmap.Reconstruction) -> list[list[int]]:
    """Return groups of camera ids, each in order."""
    alike: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for number, photos in sorted(photos_per_camera(model).items()):
        camera = model.cameras[number]
        if photos == 1 and not camera.has_prior_focal_length:
            alike[camera.model.name, camera.width, camera.height].append(number)
    groups: list[list[int]] = []
    for numbers in alike.values():
        focal_px = np.array([model.cameras[number].mean_focal_length() for number in numbers])
        agree = np.abs(focal_px / np.median(focal_px) - 1) < _TOLERANCE
        if agree.sum() >= max(_FEWEST, _MAJORITY * len(numbers)):
            groups.append([number for number, yes in zip(numbers, agree, strict=True) if yes])
    return groups


def _with_shared(model: pycolmap.Reconstruction, shared_with: Mapping[int, int]) -> pycolmap.Reconstruction:
    """Build the model anew: COLMAP ties a photo to its camera through rig and frame, and cannot re-tie it."""
    made = pycolmap.Reconstruction()
    members: dict[int, list[int]] = defaultdict(list)
    for number in sorted(photos_per_camera(model)):
        members[shared_with.get(number, number)].append(number)
    for number, group in sorted(members.items()):
        camera = pycolmap.Camera(model.cameras[number].todict())
        camera.params = _median_params(model, group)
        made.add_camera_with_trivial_rig(camera)
    for number in sorted(model.reg_image_ids()):
        image = model.images[number]
        copy = pycolmap.Image(
            name=image.name,
            keypoints=np.array([point.xy for point in image.points2D]).reshape(-1, 2),
            camera_id=shared_with.get(image.camera_id, image.camera_id),
            image_id=number,
        )
        made.add_image_with_trivial_frame(copy, image.cam_from_world())
    for _, point in sorted(model.points3D.items()):
        made.add_point3D(point.xyz, point.track, point.color)
    return made


def _median_params(model: pycolmap.Reconstruction, numbers: Sequence[int]) -> list[float]:
    return np.median([model.cameras[number].params for number in numbers], axis=0).tolist()
