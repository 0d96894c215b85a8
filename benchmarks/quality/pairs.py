"""Measure features and matchers on pairs of real photos with known poses, and on pairs that have nothing in common.

::

    python benchmarks/quality/pairs.py DATA --with sift+adalam aliked-n16rot+mnn --keypoints 3072 --json pairs.json

``DATA`` holds a folder per scene with ``images/``, ``truth.csv`` and ``cameras.csv``, and may hold ``mixed-dev`` with
stray photos in its scene ``outliers``: pairs of a stray photo and a scene's, and of photos of different scenes, show
what a matcher reaches by chance. A matcher's acceptance level in ``reconflow/nets/registry.py`` stands above that.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from msgspec import structs

sys.path.insert(0, str(Path(__file__).parents[1]))

from known_photos import (
    ANGLES_DEG,
    Photo,
    guessed_camera,
    load_photos,
    pose_error_deg,
    raster_of,
    true_pairs,
    unrelated_pairs,
    view_angle_deg,
)
from measure import this_machine
from quality_schema import PairRow, Pairs
from schema import write_result

from reconflow.config import ExtractConfig, MatchConfig, PipelineConfig
from reconflow.core.encodings import Encoding
from reconflow.core.matches import Matches
from reconflow.core.union import FeatureUnion, unite
from reconflow.nets.methods import encoder_of, extractors_of, parse_methods, split_combination
from reconflow.nets.protocols import matches_tiles
from reconflow.nets.registry import combinations, create_extractor
from reconflow.pipeline.matching import ReadyMethod, encoder, pair_matches, ready_methods, tile_matches, together
from reconflow.stages.verify import verify_pair


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


@dataclass(frozen=True)
class Prepared:
    """What matching reads of the photos, and what it cost."""

    features: list[FeatureUnion]
    encodings: list[Encoding | None]
    """None each where no matcher reads any."""
    cpu_s: float


def match_and_verify(
    pair: tuple[int, int],
    *,
    photos: Sequence[Photo],
    prepared: Prepared,
    ready: Sequence[ReadyMethod],
    config: PipelineConfig,
) -> PairResult:
    """Match and verify one pair as a run does: true pairs with known cameras, unrelated ones with guessed ones."""
    first, second = (photos[index] for index in pair)
    related = first.scene == second.scene
    start = time.thread_time()
    matches = together([_found(one, pair, prepared, config.match) for one in ready])
    matched = time.thread_time()
    ours, theirs = (photo.camera if related else guessed_camera(photo.path) for photo in (first, second))
    cameras, (a, b) = (ours, theirs), (prepared.features[index].features for index in pair)
    before = time.thread_time()
    geometry = verify_pair(matches, a, b, cameras=cameras, config=config.verify)
    verified = time.thread_time()
    inliers = replace(matches, indices=geometry.inliers).places(a.keypoints, b.keypoints)
    return PairResult(
        first=f"{first.scene}/{first.path.name}",
        second=f"{second.scene}/{second.path.name}",
        angle_deg=view_angle_deg(first, second) if related else np.nan,
        putative=len(matches),
        inliers=len(geometry),
        pose_error_deg=pose_error_deg(first, second, places=inliers, cameras=cameras) if related else np.nan,
        match_cpu_s=matched - start,
        verify_cpu_s=verified - before,
    )


def _found(one: ReadyMethod, pair: tuple[int, int], prepared: Prepared, config: MatchConfig) -> Matches:
    views = [prepared.features[index] for index in pair]
    if not matches_tiles(one.matcher):
        return pair_matches(one, *views, config=config)
    encodings = [prepared.encodings[index] for index in pair]
    ((_, finish),) = tile_matches(one, views, encodings, [(0, 1)], config=config)
    return finish()


def summarise(
    name: str,
    ready: Sequence[ReadyMethod],
    prepared: Prepared,
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
        cpu_s_per_image=prepared.cpu_s / len(prepared.features),
        keypoints=float(np.mean([len(f.features) for f in prepared.features])),
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


def prepare(
    photos: Sequence[Photo],
    *,
    extractors: Sequence[str],
    encoder_name: str,
    config: PipelineConfig,
    threads: int,
) -> Prepared:
    """Extract all photos, and encode them where a matcher reads encodings."""
    start = time.process_time()
    made = {name: create_extractor(name) for name in extractors}

    def look(photo: Photo) -> tuple[FeatureUnion, Encoding | None]:
        image = raster_of(photo)
        options = {name: structs.replace(config.extract, extractor=name) for name in made}
        features = unite([one.extract(image, config=options[name]) for name, one in made.items()])
        encoded = encoder(encoder_name, config.match.precision).encode([image]) if encoder_name else [None]
        return features, encoded[0]

    with ThreadPoolExecutor(threads) as pool:
        features, encodings = zip(*pool.map(look, photos), strict=True)
    return Prepared(list(features), list(encodings), time.process_time() - start)


def measure(arguments: argparse.Namespace) -> Iterator[PairRow]:
    """Run every combination on every pair."""
    photos = load_photos(arguments.data)
    pairs = true_pairs(photos, count=arguments.true, seed=arguments.seed)
    pairs += unrelated_pairs(photos, count=arguments.unrelated, seed=arguments.seed)
    extract = ExtractConfig(
        max_keypoints=arguments.keypoints, long_edge_px=arguments.long_edge, contrast_threshold=arguments.contrast
    )
    match = MatchConfig(ratio=arguments.ratio, min_similarity=arguments.similarity, seed_step=arguments.seed_step)
    config = PipelineConfig(extract=extract, match=match)
    at_hand: dict[tuple[tuple[str, ...], str], Prepared] = {}
    for name in arguments.combinations or [one.name for one in combinations() if one.usable]:
        names = split_combination(name)
        methods = parse_methods(*names)
        extractors, encoder_name = extractors_of(methods), encoder_of(methods)
        if (extractors, encoder_name) not in at_hand:
            prepared = prepare(
                photos, extractors=extractors, encoder_name=encoder_name, config=config, threads=arguments.threads
            )
            at_hand = {(extractors, encoder_name): prepared}
        prepared = at_hand[extractors, encoder_name]
        ready = ready_methods(*names)
        one = partial(match_and_verify, photos=photos, prepared=prepared, ready=ready, config=config)
        with ThreadPoolExecutor(arguments.threads) as pool:
            yield summarise(name, ready, prepared, list(pool.map(one, pairs)))


def _within(results: Sequence[PairResult], low: float, high: float) -> list[PairResult]:
    return [r for r in results if low <= r.angle_deg < high]


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
    parser.add_argument("--seed-step", type=int, default=MatchConfig().seed_step, help="of MASt3R")
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
