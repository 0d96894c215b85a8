"""What a job left for download: files made once by the runner, handed out here without loading anything heavy."""

from pathlib import Path
from typing import Any

import msgspec

from reconflow.errors import JobNotFoundError


class ClusterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the job."""

    id: int
    name: str
    """``cluster0_model0``."""
    num_points3D: int  # noqa: N815 - the contract's name
    filename: str
    """Its decimated cloud, for ``/download/jobs/{job_id}/{filename}``; empty where it has no points."""


class ImageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the upload and what became of it."""

    name: str
    registered: bool
    status: str
    """``registered``, ``unregistered``, ``outlier`` or ``unreadable``."""
    cluster: str | None
    """The model it is in."""
    inliers: int
    """Keypoints that see a triangulated point."""
    mean_reprojection_error_px: float | None
    reason: str
    """Why it is not registered; empty when it is."""


class JobResult:
    """The published files of one job.

    Every method raises :class:`JobNotFoundError` where the job has no such file: a scene without points has no PLY.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def clusters(self) -> list[ClusterEntry]:
        """Return the models, largest scene first."""
        return msgspec.json.decode(self._file("clusters.json").read_bytes(), type=list[ClusterEntry])

    def ply_paths(self) -> list[Path]:
        """Return all clouds, raw and decimated, by name."""
        return sorted(self.folder.glob("*.ply"))

    def ply(self, filename: str) -> Path:
        """Return one cloud by the name it was published under."""
        found = {path.name: path for path in self.ply_paths()}.get(filename)
        if found is None:
            raise JobNotFoundError(f"the job has no file {filename!r}")
        return found

    def zip_of_plys(self) -> Path:
        """Return the ZIP of all clouds."""
        if not self.ply_paths():
            raise JobNotFoundError("the job has no point cloud: no 3D point could be reconstructed")
        return self._file("plys.zip")

    def zip_of_models(self) -> Path:
        """Return the ZIP of COLMAP's binary models, a folder each."""
        if not self.clusters():
            raise JobNotFoundError("the job has no model")
        return self._file("models.zip")

    def csv(self, *, kaggle: bool = False) -> bytes:
        """Return the IMC2025 submission."""
        return self._file("submission-kaggle.csv" if kaggle else "submission.csv").read_bytes()

    def images(self) -> list[ImageEntry]:
        """Return what became of every file of the upload."""
        return msgspec.json.decode(self._file("images.json").read_bytes(), type=list[ImageEntry])

    def thumbnail(self, name: str) -> bytes:
        """Return a small upright JPEG of a photo."""
        places = msgspec.json.decode(self._file("thumbnails.json").read_bytes(), type=dict[str, str])
        if name not in places:
            raise JobNotFoundError(f"the job has no picture of {name!r}")
        return self._file(f"thumbnails/{places[name]}").read_bytes()

    def cameras(self) -> dict[str, Any]:
        """Return poses and intrinsics of every model."""
        return msgspec.json.decode(self._file("cameras.json").read_bytes())

    def transforms(self, cluster: str) -> dict[str, Any]:
        """Return nerfstudio's ``transforms.json`` of a model such as ``cluster0_model0``."""
        if cluster not in {entry.name for entry in self.clusters()}:
            raise JobNotFoundError(f"the job has no model {cluster!r}")
        return msgspec.json.decode(self._file(f"transforms/{cluster}.json").read_bytes())

    def report(self) -> Path:
        """Return the self-contained report page."""
        return self._file("report.html")

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise JobNotFoundError(f"the job has no {name}")
        return path
