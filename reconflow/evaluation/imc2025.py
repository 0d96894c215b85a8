"""The score of the Image Matching Challenge 2025, with pose errors beside it.

Per dataset:

1. A truth scene is matched to the submitted cluster that shares most images with it (on a tie, the one with the
   higher mAA), or to none. Several scenes may share a cluster.
2. The cluster's camera centres are aligned to the true ones per threshold (`reconflow.evaluation.consensus`).
   ``mAA`` is the share of cameras within the thresholds, the two tightest left out, and without the three cameras
   per scene and threshold that fix the alignment.
3. ``clusterness`` is the share of the matched clusters' images that belong to their scene.
4. The dataset's score is the harmonic mean of both; the final score is the mean over datasets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.cameras import Pose
from reconflow.core.submission import OUTLIERS, PoseRow
from reconflow.errors import InputError
from reconflow.evaluation.consensus import MIN_CENTERS, Consensus, register_centers
from reconflow.evaluation.grouping import Clusters, by_dataset, completed
from reconflow.evaluation.pose_error import AUC_DEGREES, pose_auc, relative_pose_errors_deg, rotation_errors_deg
from reconflow.evaluation.thresholds import SKIPPED, Thresholds


class SceneScore(msgspec.Struct, frozen=True, kw_only=True):
    """How one truth scene came out; ``cluster`` is None where no submitted cluster has an image of it.

    Errors are those after the alignment at the loosest threshold, over all registered images; centres are in the
    truth's unit. ``pose_auc`` maps degrees to the area under the recall curve of relative poses, over all pairs of
    the scene's images: a pair with an image that the cluster lacks, or that has no pose, is a failure.
    """

    scene: str
    images: int
    cluster: str | None
    cluster_size: int
    common: int
    registered: int
    mAA: float  # noqa: N815 - the metric's name
    thresholds: tuple[float, ...]
    correct_per_threshold: tuple[int, ...]
    median_center_error: float | None
    max_center_error: float | None
    median_rotation_error_deg: float | None
    max_rotation_error_deg: float | None
    pose_auc: dict[int, float]


class DatasetScore(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset. ``score_published_code`` repeats a quirk of the organisers' code, where a scene that no cluster
    matches falls to the file's first cluster; see `_as_published`.
    """

    dataset: str
    score: float
    mAA: float  # noqa: N815
    clusterness: float
    score_published_code: float
    clusters: int
    outliers: int
    outliers_in_a_cluster: int
    scenes: tuple[SceneScore, ...]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Means over datasets, each from 0 to 1, and the datasets."""

    final: float
    mAA: float  # noqa: N815
    clusterness: float
    final_published_code: float
    datasets: tuple[DatasetScore, ...]


def score_poses(
    truth: Sequence[PoseRow], submission: Sequence[PoseRow], *, thresholds: Thresholds, lenient: bool = False
) -> Score:
    """Score a submission against known poses.

    Datasets that only the submission has are ignored. ``lenient`` counts images that the submission lacks as outliers
    and ignores unknown ones; the metric itself rejects both. Time grows with the fourth power of the images that a
    scene shares with its cluster: seconds at 200.

    Raises
    ------
    InputError
        If an image is named twice, missing or unknown, or a scene has no thresholds and no pose.

    """
    known = by_dataset(truth, "the truth")
    submitted = by_dataset(submission, "the submission")
    datasets: list[DatasetScore] = []
    for name, scenes in known.items():
        clusters = completed(submitted.get(name), scenes, dataset=name, lenient=lenient)
        datasets.append(_score_dataset(name, scenes, clusters, thresholds))
    return Score(
        final=_mean([dataset.score for dataset in datasets]),
        mAA=_mean([dataset.mAA for dataset in datasets]),
        clusterness=_mean([dataset.clusterness for dataset in datasets]),
        final_published_code=_mean([dataset.score_published_code for dataset in datasets]),
        datasets=tuple(datasets),
    )


@dataclass(frozen=True)
class _Match:
    """A truth scene beside a submitted cluster (or none), after alignment."""

    cluster: str | None
    cluster_size: int
    common: int
    registered: tuple[str, ...]
    consensus: Consensus
    correct: tuple[int, ...]

    @property
    def rewarded(self) -> int:
        """Correct cameras beyond those that fix the alignment, over the counted thresholds."""
        return sum(max(0, correct - MIN_CENTERS) for correct in self.correct[SKIPPED:])


def _score_dataset(name: str, scenes: Clusters, clusters: Clusters, thresholds: Thresholds) -> DatasetScore:
    matches: list[_Match] = []
    details: list[SceneScore] = []
    for scene, images in scenes.items():
        if scene == OUTLIERS:
            continue
        centers = _centers([pose for pose in images.values() if pose is not None])
        limits = thresholds.of(name, scene, centers)
        match = _match_scene(images, clusters, limits)
        matches.append(match)
        details.append(_describe(scene, images, clusters, match, limits))
    sizes = [detail.images for detail in details]
    counted = _levels(name, details, thresholds) - SKIPPED
    mAA, clusterness = _combine(matches, sum(sizes), counted)
    stray = scenes.get(OUTLIERS, {})
    placed = sum(image in stray for cluster, images in clusters.items() if cluster != OUTLIERS for image in images)
    return DatasetScore(
        dataset=name,
        score=harmonic_mean(mAA, clusterness),
        mAA=mAA,
        clusterness=clusterness,
        score_published_code=_as_published(matches, sizes, clusters, counted),
        clusters=sum(cluster != OUTLIERS for cluster in clusters),
        outliers=len(stray),
        outliers_in_a_cluster=placed,
        scenes=tuple(details),
    )


def _levels(name: str, scenes: Sequence[SceneScore], thresholds: Thresholds) -> int:
    """Return how many thresholds each scene has; as many as are skipped where there is no scene."""
    levels = {len(scene.thresholds) for scene in scenes}
    if len(levels) > 1:
        given = thresholds.by_scene[name]
        lacking = next(scene.scene for scene in scenes if scene.scene not in given)
        count = len(next(iter(given.values())))
        raise InputError(
            f"{name}/{lacking} has no thresholds and other scenes of {name} have {count}: add {count} for it",
            item=lacking,
        )
    return max(levels, default=SKIPPED)


def _match_scene(images: dict[str, Pose | None], clusters: Clusters, limits: tuple[float, ...]) -> _Match:
    shared = {name: sum(image in members for image in images) for name, members in clusters.items() if name != OUTLIERS}
    most = max(shared.values(), default=0)
    nothing = _Match(None, 0, 0, (), Consensus((None,) * len(limits), np.empty((0, len(limits)))), (0,) * len(limits))
    if most == 0:
        return nothing
    # Only clusters that tie for the first place need the costly alignment; max() keeps the file's first.
    tied = [_align(images, name, clusters[name], limits) for name, common in shared.items() if common == most]
    return max(tied, key=lambda match: match.rewarded)


def _align(
    images: dict[str, Pose | None], name: str, members: dict[str, Pose | None], limits: tuple[float, ...]
) -> _Match:
    pairs = {
        image: (members[image], pose)
        for image, pose in sorted(images.items())
        if pose is not None and members.get(image) is not None
    }
    found = _centers([pose for pose, _ in pairs.values() if pose is not None])
    true = _centers([pose for _, pose in pairs.values()])
    consensus = register_centers(found, true, limits)
    return _Match(
        cluster=name,
        cluster_size=len(members),
        common=sum(image in members for image in images),
        registered=tuple(pairs),
        consensus=consensus,
        correct=tuple(int(count) for count in (consensus.errors < np.asarray(limits)).sum(0)),
    )


def _combine(matches: Sequence[_Match], images: int, counted: int) -> tuple[float, float]:
    """MAA and clusterness of a dataset from its scenes."""
    possible = max(0, counted * (images - MIN_CENTERS * len(matches)))
    placed = sum(match.cluster_size for match in matches)
    mAA = sum(match.rewarded for match in matches) / possible if possible else 0.0
    return mAA, sum(match.common for match in matches) / placed if placed else 0.0


def _as_published(matches: Sequence[_Match], sizes: Sequence[int], clusters: Clusters, counted: int) -> float:
    """Score as the organisers' code computes it.

    It gives a scene that no cluster matches to the file's first cluster. A real cluster then counts against the
    clusterness; ``outliers`` takes the scene's images out of the mAA's denominator, which can lift it above 1.
    """
    first = next(iter(clusters), None)
    images = 0
    coded: list[_Match] = []
    for match, size in zip(matches, sizes, strict=True):
        lost = match.cluster is None
        images += 0 if lost and first == OUTLIERS else size
        extra = len(clusters[first]) if lost and first is not None and first != OUTLIERS else match.cluster_size
        coded.append(_Match(match.cluster, extra, match.common, match.registered, match.consensus, match.correct))
    return harmonic_mean(*_combine(coded, images, counted))


def _describe(
    scene: str, images: dict[str, Pose | None], clusters: Clusters, match: _Match, limits: tuple[float, ...]
) -> SceneScore:
    true = [pose for name in match.registered if (pose := images[name]) is not None]
    members = clusters.get(match.cluster, {}) if match.cluster is not None else {}
    found = [pose for name in match.registered if (pose := members[name]) is not None]
    rotations, true_rotations = _rotations(found), _rotations(true)
    center_errors = rotation_errors = np.empty(0)
    index = match.consensus.loosest
    similarity = None if index is None else match.consensus.similarities[index]
    if similarity is not None:
        center_errors = match.consensus.errors[:, index]
        rotation_errors = rotation_errors_deg(rotations, true_rotations @ similarity.rotation)
    posed = sum(pose is not None for pose in images.values())
    relative = relative_pose_errors_deg(rotations, _centers(found), true_rotations, _centers(true))
    areas = pose_auc(relative, posed * (posed - 1) // 2)
    rewardable = (len(limits) - SKIPPED) * (len(images) - MIN_CENTERS)
    return SceneScore(
        scene=scene,
        images=len(images),
        cluster=match.cluster,
        cluster_size=match.cluster_size,
        common=match.common,
        registered=len(match.registered),
        mAA=match.rewarded / rewardable if match.rewarded else 0.0,
        thresholds=limits,
        correct_per_threshold=match.correct,
        median_center_error=_median(center_errors),
        max_center_error=_largest(center_errors),
        median_rotation_error_deg=_median(rotation_errors),
        max_rotation_error_deg=_largest(rotation_errors),
        pose_auc=dict(zip(AUC_DEGREES, areas, strict=True)),
    )


def harmonic_mean(a: float, b: float) -> float:
    """Return 2ab / (a + b), and 0 where both are 0."""
    return 2 * a * b / (a + b) if a + b else 0.0


def _median(errors: Array) -> float | None:
    return float(np.median(errors)) if len(errors) else None


def _largest(errors: Array) -> float | None:
    return float(errors.max()) if len(errors) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _centers(poses: Sequence[Pose]) -> Array:
    return np.array([pose.center_in_world for pose in poses], np.float64).reshape(-1, 3)


def _rotations(poses: Sequence[Pose]) -> Array:
    return np.array([pose.rotation for pose in poses], np.float64).reshape(-1, 3, 3)
