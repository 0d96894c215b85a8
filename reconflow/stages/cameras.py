"""Image records → cameras: the focal prior of each photo, and which photos share intrinsics."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

from reconflow.config import IngestConfig
from reconflow.core.cameras import Camera
from reconflow.core.images import ImageRecord
from reconflow.errors import InputError


class CameraRig(msgspec.Struct, frozen=True, kw_only=True):
    """The cameras of a run and which photo was taken with which."""

    cameras: tuple[Camera, ...]
    camera_of: dict[str, int]
    """Photo name → index into ``cameras``."""

    def camera(self, name: str) -> Camera:
        """Return the camera of a photo."""
        return self.cameras[self.camera_of[name]]


def assign_cameras(records: Sequence[ImageRecord], *, config: IngestConfig) -> CameraRig:
    """Group photos into cameras and give each its starting intrinsics.

    ``auto`` shares intrinsics between photos of equal make, model, lens, focal length and size. Without a make or
    model, or without a focal length (a zoom may have moved), a photo keeps a camera of its own.

    Raises
    ------
    InputError
        If ``single`` or ``per_folder`` puts photos of different sizes on one camera.

    """
    groups: dict[tuple[object, ...], int] = {}
    cameras: list[Camera] = []
    camera_of: dict[str, int] = {}
    for record in records:
        key = _group_key(record, config.camera_sharing)
        index = groups.setdefault(key, len(cameras))
        if index == len(cameras):
            cameras.append(starting_camera(record, config=config))
        elif (cameras[index].width, cameras[index].height) != (record.width, record.height):
            raise InputError(
                f"camera_sharing = {config.camera_sharing} puts photos of different sizes on one camera; "
                "use auto or per_image",
                item=record.name,
            )
        camera_of[record.name] = index
    return CameraRig(cameras=tuple(cameras), camera_of=camera_of)


def starting_camera(record: ImageRecord, *, config: IngestConfig) -> Camera:
    """Return the camera a photo starts with: focal length from EXIF, else a multiple of the long edge."""
    guess = config.default_focal_factor * max(record.width, record.height)
    return Camera.from_focal(
        config.camera_model,
        record.width,
        record.height,
        record.focal_prior_px or guess,
        prior=record.focal_prior_px is not None,
    )


def _group_key(record: ImageRecord, sharing: str) -> tuple[object, ...]:
    if sharing == "single":
        return ("single",)
    if sharing == "per_folder":
        return ("folder", str(PurePosixPath(record.name).parent))
    exif = record.exif
    focal = (exif.focal_mm, exif.focal_35mm)
    if sharing == "auto" and (exif.make or exif.model) and any(focal):
        return ("exif", exif.make, exif.model, exif.lens, *focal, record.width, record.height)
    return ("image", record.name)
