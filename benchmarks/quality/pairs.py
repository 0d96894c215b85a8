"""Measure features and matchers on pairs of real photos with known poses, and on pairs that have nothing in common.

::

    python benchmarks/quality/pairs.py DATA --with sift+adalam aliked-n16rot+mnn --keypoints 3072 --json pairs.json

``DATA`` holds a folder per scene with ``images/``, ``truth.csv`` and ``cameras.csv``, and may hold ``mixed-dev`` with
stray photos in its scene ``outliers``: pairs of a stray photo and a scene's, and of photos of different scenes, show
what a matcher reaches by chance. A matcher's acceptance level in ``reconflow/nets/registry.py`` stands above that.
"""

import argparse
import csv
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from schema import PairRow, Pairs, write_result

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.core.cameras import Pose
from reconflow.core.matches import Matches
from reconflow.core.submission import OUTLIERS, read_poses
from reconflow.core.union import FeatureUnion, unite
from reconflow.nets.methods import extractors_of, parse_methods, split_combination
from reconflow.nets.protocols import matches_tiles
from reconflow.nets.registry import combinations, create_extractor
from reconflow.pipeline.matching import ReadyMethod, pair_matches, ready_methods, tile_matches, together

ANGLES_DEG = (0, 15, 30, 60, 120)
"""True pairs are grouped by the angle between the viewing directions; wider ones are left out."""


@dataclass(frozen=True)
class Photo:
    """A photo with its truth; a stray one has no pose."""

    scene: str
    path: Path
    pose: Pose | None
    camera: pycolmap.Camera


@dataclass(frozen=True)
class PairResult:
    """What a pair came to. ``angle_deg`` and ``pose_error_deg`` are nan for unrelated photos."""

    first: str
    second: str
    angle_deg: float
    putative: int
    inliers: int
    pose_error_deg: float
    match_cpu_s: float
    verify_cpu_s: float


def load_photos(data: Path) -> list[Photo]:
    """Read the scenes of a data folder, and the stray photos of ``mixed-dev``."""
    photos: list[Photo] = []
    for folder in sorted(path for path in data.iterdir() if (path / "truth.csv").exists()):
        cameras = _read_cameras(folder / "cameras.csv")
        for row in read_poses(folder / "truth.csv"):
            stray = row.scene == OUTLIERS
            if stray == (folder.name == "mixed-dev"):
                path = folder / "images" / row.image
                camera = _guessed_camera(path) if stray else cameras[row.image]
                photos.append(Photo(row.scene, path, row.cam_from_world, camera))
    return photos


def true_pairs(photos: Sequence[Photo], *, count: int, seed: int) -> list[tuple[int, int]]:
    """Sample pairs of a scene whose viewing directions differ by no more than the largest angle."""
    pairs = itertools.combinations(range(len(photos)), 2)
    within = [(i, j) for i, j in pairs if 0 <= _view_angle_deg(photos[i], photos[j]) < ANGLES_DEG[-1]]
    chosen = np.random.default_rng(seed).permutation(len(within))[:count]
    return [within[k] for k in sorted(chosen)]


def unrelated_pairs(photos: Sequence[Photo], *, count: int, seed: int) -> list[tuple[int, int]]:
    """Sample pairs of photos of different scenes; two stray photos are not known to be unrelated."""
    pairs = [(i, j) for i, j in itertools.combinations(range(len(photos)), 2) if photos[i].scene != photos[j].scene]
    with_stray = [pair for pair in pairs if any(photos[i].pose is None for i in pair)]
    others = [pair for pair in pairs if all(photos[i].pose is not None for i in pair)]
    rng = np.random.default_rng(seed)
    chosen: list[tuple[int, int]] = []
    for group in (with_stray, others):
        chosen += [group[k] for k in sorted(rng.permutation(len(group))[: count // 2])]
    return chosen


def _found(one: ReadyMethod, a: FeatureUnion, b: FeatureUnion, config: MatchConfig) -> Matches:
    if not matches_tiles(one.matcher):
        return pair_matches(one, a, b, config=config)
    ((_, finish),) = tile_matches(one, (a, b), (None, None), [(0, 1)], config=config)
    return finish()


def match_and_verify(
    pair: tuple[int, int],
    *,
    photos: Sequence[Photo],
    features: Sequence[FeatureUnion],
    ready: Sequence[ReadyMethod],
    config: MatchConfig,
) -> PairResult:
    """Match and verify one pair: true pairs with their known cameras, unrelated ones with guessed ones."""
    i, j = pair
    first, second = photos[i], photos[j]
    related = first.scene == second.scene
    start = time.thread_time()
    a, b = features[i], features[j]
    found = [_found(one, a, b, config) for one in ready]
    matches = together(found)
    matched = time.thread_time()
    cameras = [photo.camera if related else _guessed_camera(photo.path) for photo in (first, second)]
    geometry = _verify(matches, a, b, cameras, relative_pose=related)
    verified = time.thread_time()
    return PairResult(
        first=f"{first.scene}/{first.path.name}",
        second=f"{second.scene}/{second.path.name}",
        angle_deg=_view_angle_deg(first, second) if related else np.nan,
        putative=len(matches),
        inliers=len(geometry.inlier_matches),
        pose_error_deg=_pose_error_deg(geometry, first, second) if related else np.nan,
        match_cpu_s=matched - start,
        verify_cpu_s=verified - matched,
    )


def summarise(
    name: str,
    ready: Sequence[ReadyMethod],
    features: Sequence[FeatureUnion],
    cpu_s: float,
    results: Sequence[PairResult],
) -> PairRow:
    """Fold the results of one combination into a line of the table."""
    # Several methods: what all of them reach together, against the level of the strictest.
    acceptance = max(one.matcher.acceptance_inliers for one in ready)
    true = [r for r in results if not np.isnan(r.angle_deg)]
    chance = np.array([r.inliers for r in results if np.isnan(r.angle_deg)] or [0])
    groups = {f"{low}-{high}": _within(true, low, high) for low, high in itertools.pairwise(ANGLES_DEG)}
    return PairRow(
        combination=name,
        acceptance=acceptance,
        cpu_s_per_image=cpu_s / len(features),
        keypoints=float(np.mean([len(f.features) for f in features])),
        match_cpu_s_per_pair=float(np.mean([r.match_cpu_s for r in true])),
        verify_cpu_s_per_pair=float(np.mean([r.verify_cpu_s for r in true])),
        median_inliers={name: float(np.median([r.inliers for r in group])) for name, group in groups.items() if group},
        posed_1deg={
            name: f"{sum(r.pose_error_deg < 1 for r in group)}/{len(group)}" for name, group in groups.items() if group
        },
        posed_5deg=sum(r.pose_error_deg < 5 for r in true),
        verified_true=sum(r.inliers >= acceptance for r in true),
        true_pairs=len(true),
        unrelated_pairs=len(results) - len(true),
        unrelated_verified=int((chance >= acceptance).sum()),
        unrelated_most=int(chance.max()),
        unrelated_99=float(np.percentile(chance, 99)),
    )


def table(rows: Sequence[PairRow]) -> str:
    """Return the rows as a Markdown table."""
    groups = list(rows[0].median_inliers)
    head = ["combination", "keypoints", "CPU-s/image", "match CPU-ms/pair", "verify CPU-ms/pair"]
    head += [f"inliers {name}°" for name in groups] + [f"< 1° {name}°" for name in groups]
    head += ["< 5°", "verified true", "unrelated: most, 99 %", "unrelated verified (level)"]
    lines = [head, ["---"] * len(head)]
    lines += [
        [
            row.combination,
            f"{row.keypoints:.0f}",
            f"{row.cpu_s_per_image:.2f}",
            f"{1e3 * row.match_cpu_s_per_pair:.0f}",
            f"{1e3 * row.verify_cpu_s_per_pair:.0f}",
            *(f"{row.median_inliers[name]:.0f}" for name in groups),
            *(row.posed_1deg[name] for name in groups),
            f"{row.posed_5deg}/{row.true_pairs}",
            f"{row.verified_true}/{row.true_pairs}",
            f"{row.unrelated_most}, {row.unrelated_99:.0f}",
            f"{row.unrelated_verified}/{row.unrelated_pairs} ({row.acceptance})",
        ]
        for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def extract_all(
    photos: Sequence[Photo], *, extractors: Sequence[str], config: ExtractConfig, threads: int
) -> tuple[list[FeatureUnion], float]:
    """Extract all photos; return their features and the CPU seconds it took."""
    start = time.process_time()
    made = {name: create_extractor(name) for name in extractors}

    def extract(photo: Photo) -> FeatureUnion:
        image = cv2.cvtColor(cv2.imread(str(photo.path), _RAW_COLOUR), cv2.COLOR_BGR2RGB)
        return unite([one.extract(image, config=replace(config, extractor=name)) for name, one in made.items()])

    with ThreadPoolExecutor(threads) as pool:
        features = list(pool.map(extract, photos))
    return features, time.process_time() - start


def measure(arguments: argparse.Namespace) -> Iterator[PairRow]:
    """Run every combination on every pair."""
    photos = load_photos(arguments.data)
    pairs = true_pairs(photos, count=arguments.true, seed=arguments.seed)
    pairs += unrelated_pairs(photos, count=arguments.unrelated, seed=arguments.seed)
    extract = ExtractConfig(
        max_keypoints=arguments.keypoints, long_edge_px=arguments.long_edge, contrast_threshold=arguments.contrast
    )
    config = MatchConfig(ratio=arguments.ratio, min_similarity=arguments.similarity)
    at_hand: dict[tuple[str, ...], tuple[list[FeatureUnion], float]] = {}
    for name in arguments.combinations or [one.name for one in combinations() if one.usable]:
        names = split_combination(name)
        extractors = extractors_of(parse_methods(*names))
        if extractors not in at_hand:
            at_hand = {
                extractors: extract_all(photos, extractors=extractors, config=extract, threads=arguments.threads)
            }
        features, cpu_s = at_hand[extractors]
        ready = ready_methods(*names)

        def run(pair: tuple[int, int], *, features: Sequence[FeatureUnion] = features, ready: Any = ready):
            return match_and_verify(pair, photos=photos, features=features, ready=ready, config=config)

        with ThreadPoolExecutor(arguments.threads) as pool:
            results = list(pool.map(run, pairs))
        yield summarise(name, ready, features, cpu_s, results)


_RAW_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def _within(results: Sequence[PairResult], low: float, high: float) -> list[PairResult]:
    return [r for r in results if low <= r.angle_deg < high]


def _read_cameras(path: Path) -> dict[str, pycolmap.Camera]:
    cameras: dict[str, pycolmap.Camera] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            params = [float(row[name]) for name in ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")]
            camera = pycolmap.Camera(
                model="OPENCV", width=int(row["width"]), height=int(row["height"]), params=np.array(params)
            )
            camera.has_prior_focal_length = True
            cameras[row["image"]] = camera
    return cameras


def _guessed_camera(path: Path) -> pycolmap.Camera:
    height, width = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION).shape
    params = np.array([1.2 * max(width, height), width / 2, height / 2, 0])
    return pycolmap.Camera(model="SIMPLE_RADIAL", width=width, height=height, params=params)


def _verify(
    matches: Matches, a: FeatureUnion, b: FeatureUnion, cameras: Sequence[pycolmap.Camera], *, relative_pose: bool
) -> pycolmap.TwoViewGeometry:
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = 6
    options.compute_relative_pose = relative_pose
    options.ransac.min_inlier_ratio = 0.1
    options.ransac.random_seed = 0
    if len(matches) < options.min_num_inliers:
        return pycolmap.TwoViewGeometry()
    return pycolmap.estimate_two_view_geometry(
        cameras[0],
        a.features.keypoints.astype(np.float64),
        cameras[1],
        b.features.keypoints.astype(np.float64),
        matches.indices.astype(np.uint32),
        options,
    )


def _view_angle_deg(first: Photo, second: Photo) -> float:
    """Return the angle between both viewing directions; −1 for photos that do not share a scene."""
    if first.scene != second.scene or first.pose is None or second.pose is None:
        return -1.0
    return float(np.rad2deg(np.arccos(np.clip(first.pose.rotation[2] @ second.pose.rotation[2], -1, 1))))


def _pose_error_deg(geometry: pycolmap.TwoViewGeometry, first: Photo, second: Photo) -> float:
    """Return the larger of the angles by which the rotation and the direction of the translation are off."""
    if geometry.cam2_from_cam1 is None or first.pose is None or second.pose is None:
        return 180.0
    rotation = second.pose.rotation @ first.pose.rotation.T
    translation = second.pose.translation - rotation @ first.pose.translation
    found = geometry.cam2_from_cam1.matrix()
    turn = np.arccos(np.clip((np.trace(rotation.T @ found[:, :3]) - 1) / 2, -1, 1))
    lengths = np.linalg.norm(translation) * np.linalg.norm(found[:, 3])
    tilt = np.arccos(np.clip(translation @ found[:, 3] / lengths, -1, 1)) if lengths > 0 else np.pi
    return float(np.rad2deg(max(turn, tilt)))


def main() -> None:
    """Print the table and write the measured values."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("RECONFLOW_TEST_DATA", "") + "/dev")
    parser.add_argument("--with", nargs="+", dest="combinations", help="EXTRACTOR+MATCHER …; all that can run here")
    parser.add_argument("--keypoints", type=int, default=ExtractConfig().max_keypoints)
    parser.add_argument("--similarity", type=float, default=MatchConfig().min_similarity)
    parser.add_argument("--ratio", type=float, default=MatchConfig().ratio)
    parser.add_argument("--contrast", type=float, default=ExtractConfig().contrast_threshold)
    parser.add_argument("--long-edge", type=int, default=ExtractConfig().long_edge_px)
    parser.add_argument("--unrelated", type=int, default=400, help="pairs of unrelated photos")
    parser.add_argument("--true", type=int, default=1000, help="pairs that show the same scene")
    parser.add_argument("--threads", type=int, default=1, help="pairs matched at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = this_machine()
    rows: list[PairRow] = []
    for row in measure(arguments):
        rows.append(row)
        print(table([row]), flush=True)
    print("\n" + table(rows))
    if arguments.json:
        result = Pairs(
            machine=machine,
            keypoints=arguments.keypoints,
            long_edge_px=arguments.long_edge,
            seed=arguments.seed,
            rows=rows,
        )
        write_result(result, arguments.json)


if __name__ == "__main__":
    main()
