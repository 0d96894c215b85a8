"""What a job left for download: files made once by the runner, handed out here without loading anything heavy."""

from pathlib import Path
from typing import Any

import msgspec

from reconflow.errors import NotFoundError


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
    width: int = 0
    height: int = 0
    """Pixels of the raw raster; 0 where it is unreadable."""
    connected_photos: int = 0
    """Photos it shares a verified two-view geometry with."""


class ViewGraph(msgspec.Struct, frozen=True, kw_only=True):
    """Which photos match which."""

    photos: list[str]
    """Names, by cluster; the ones in no model come last."""
    clusters: list[str | None]
    """The model each photo is in."""
    pairs: list[tuple[int, int, int]]
    """Places of two photos in ``photos``, the first before the second, and the inliers of their verified geometry."""


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run in numbers and words; a part of its ``report.json``."""

    n_images: int
    n_readable: int
    n_registered: int
    n_points: int
    mean_track_length: float | None
    """Photos that see a point, on average."""
    mean_reprojection_error_px: float | None
    track_length_histogram: dict[str, int]
    """Points by the number of photos that see them: ``"2"`` … ``"9"``, ``"10+"``."""
    n_pairs: int
    n_verified_pairs: int
    warnings: list[str]
    recommendations: list[str]
    timings_s: dict[str, float]


class JobResult:
    """The published files of one job.

    Every method raises :class:`NotFoundError` where the job has no such file: a scene without points has no PLY.
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
            raise NotFoundError(f"the job has no file {filename!r}")
        return found

    def zip_of_plys(self) -> Path:
        """Return the ZIP of all clouds."""
        if not self.ply_paths():
            raise NotFoundError("the job has no point cloud: no 3D point could be reconstructed")
        return self._file("plys.zip")

    def zip_of_models(self) -> Path:
        """Return the ZIP of COLMAP's binary models, a folder each."""
        if not self.clusters():
            raise NotFoundError("the job has no model")
        return self._file("models.zip")

    def csv(self, *, kaggle: bool = False) -> bytes:
        """Return the IMC2025 submission."""
        return self._file("submission-kaggle.csv" if kaggle else "submission.csv").read_bytes()

    def images(self) -> list[ImageEntry]:
        """Return what became of every file of the upload."""
        return msgspec.json.decode(self._file("images.json").read_bytes(), type=list[ImageEntry])

    def view_graph(self) -> ViewGraph:
        """Return which photos match which."""
        return msgspec.json.decode(self._file("view-graph.json").read_bytes(), type=ViewGraph)

    def details(self) -> RunDetails:
        """Return the run in numbers and words."""
        return msgspec.json.decode(self._file("insights.json").read_bytes(), type=RunDetails)

    def cloud(self, cluster: str) -> Path:
        """Return a model's points as :mod:`reconflow.core.viewer_clouds` writes them."""
        self._require_cluster(cluster)
        return self._file(f"clouds/{cluster}.bin")

    def thumbnail(self, name: str | None = None, *, large: bool = False) -> bytes:
        """Return an upright JPEG of a photo: 160 pixels along the long edge, or 640 for a large one.

        Without a name it is the photo that sees most of the scene.
        """
        places = msgspec.json.decode(self._file("thumbnails.json").read_bytes(), type=dict[str, str])
        if name is None:
            shown = [entry for entry in self.images() if entry.name in places]
            name = max(shown, key=lambda entry: entry.inliers).name if shown else ""
        if name not in places:
            raise NotFoundError(f"the job has no picture of {name!r}")
        return self._file(f"{'previews' if large else 'thumbnails'}/{places[name]}").read_bytes()

    def cameras(self) -> dict[str, Any]:
        """Return poses and intrinsics of every model."""
        return msgspec.json.decode(self._file("cameras.json").read_bytes())

    def transforms(self, cluster: str) -> dict[str, Any]:
        """Return nerfstudio's ``transforms.json`` of a model such as ``cluster0_model0``."""
        self._require_cluster(cluster)
        return msgspec.json.decode(self._file(f"transforms/{cluster}.json").read_bytes())

    def report(self) -> Path:
        """Return the self-contained report page."""
        return self._file("report.html")

    def _require_cluster(self, name: str) -> None:
        if name not in {entry.name for entry in self.clusters()}:
            raise NotFoundError(f"the job has no model {name!r}")

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise NotFoundError(f"the job has no {name}")
        return path
