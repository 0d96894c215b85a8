"""Time the search, AdaLAM and the coarse pass against what they replace, on pairs of real photos of one scene.

::

    OMP_NUM_THREADS=1 python benchmarks/speed/matching.py DATA/herzjesu/images --json matching.json

Both sides of a comparison run in turn on every pair, several rounds; the figures are medians of CPU seconds and their
ratio, ours over theirs. The rival of ``adalam`` is kornia's ``match_adalam``, timed where kornia is installed.
"""

import argparse
import importlib.util
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from schema import write_result
from speed_schema import Matching, Side

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.core.features import Features
from reconflow.nets.coarse import coarse_counts
from reconflow.nets.nearest import nearest_two
from reconflow.nets.registry import create_extractor, create_matcher

Work = Callable[[Features, Features], int]
"""Does one pair's work and returns how many matches it made."""


def load_features(images: Path, *, count: int, keypoints: int) -> list[Features]:
    """Extract SIFT features of the first photos of a folder."""
    extractor = create_extractor("sift")
    config = ExtractConfig(max_keypoints=keypoints)
    found: list[Features] = []
    for path in sorted(images.iterdir())[:count]:
        image = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)
        found.append(extractor.extract(image, config=config))
    return found


def search_both_ways(a: Features, b: Features) -> int:
    """Return the mutual nearest neighbours by our search."""
    return int(nearest_two(a.descriptors, b.descriptors).mutual.sum())


def faiss_both_ways(a: Features, b: Features) -> int:
    """Return the mutual nearest neighbours by two of faiss's exact searches."""
    first, second = a.descriptors.astype(np.float32), b.descriptors.astype(np.float32)
    forth = faiss.knn(first, second, 2)[1][:, 0]
    back = faiss.knn(second, first, 1)[1][:, 0]
    return int((back[forth] == np.arange(len(forth))).sum())


def matched_by(name: str) -> Side:
    """Return a side that runs the matcher of a name."""
    matcher = create_matcher(name)
    return lambda a, b: len(matcher.match(a, b, config=MatchConfig()))


def matched_by_kornia(a: Features, b: Features) -> int:
    """Return the matches of kornia's AdaLAM, search included."""
    import kornia.feature as kf
    import torch

    def frames(features: Features) -> object:
        degrees = torch.from_numpy(-np.rad2deg(features.orientations))[None, :, None]
        return kf.laf_from_center_scale_ori(
            torch.from_numpy(features.keypoints.copy())[None],
            torch.from_numpy(features.scales.copy())[None, :, None, None],
            degrees,
        )

    def descriptors(features: Features) -> object:
        return torch.from_numpy(features.descriptors.astype(np.float32))

    sizes = [features.image_size[::-1] for features in (a, b)]
    with torch.inference_mode():
        _, found = kf.match_adalam(descriptors(a), descriptors(b), frames(a), frames(b), hw1=sizes[0], hw2=sizes[1])
    return len(found)


def time_coarse(features: Sequence[Features], *, keypoints: int, rounds: int) -> dict[str, float]:
    """Return the median CPU milliseconds a pair and the mean count of the coarse pass over all pairs of a tile."""
    pairs = list(itertools.combinations(range(len(features)), 2))
    config = MatchConfig(coarse_keypoints=keypoints)
    seconds: list[float] = []
    counts: list[int] = []
    for turn in range(rounds + 1):
        start = time.process_time()
        counts = coarse_counts(features, pairs, config=config)
        if turn:
            seconds.append(time.process_time() - start)
    return Side(cpu_ms=1e3 * statistics.median(seconds) / len(pairs), matches=statistics.mean(counts))


def compare(sides: Mapping[str, Work], features: Sequence[Features], *, rounds: int) -> dict[str, Side]:
    """Run the sides in turn on every pair; return each side's median CPU milliseconds and mean matches a pair."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    matches: dict[str, list[int]] = {name: [] for name in sides}
    for turn, (a, b) in itertools.product(range(rounds + 1), itertools.combinations(features, 2)):
        for name, side in sides.items():
            start = time.process_time()
            made = side(a, b)
            if turn:  # the first round warms up
                seconds[name].append(time.process_time() - start)
                matches[name].append(made)
    return {
        name: Side(cpu_ms=1e3 * statistics.median(seconds[name]), matches=statistics.mean(matches[name]))
        for name in sides
    }


def comparisons(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Side]]]:
    """Yield what was compared and what each side took."""
    features: list[Features] = []
    for keypoints in arguments.keypoints:
        features = load_features(arguments.images, count=arguments.photos, keypoints=keypoints)
        searches: dict[str, Work] = {"reconflow": search_both_ways, "faiss": faiss_both_ways}
        yield f"search both ways, {keypoints}", compare(searches, features, rounds=arguments.rounds)
        matchers: dict[str, Work] = {"reconflow": matched_by("adalam"), "ratio test": matched_by("ratio")}
        if importlib.util.find_spec("kornia"):
            matchers["kornia"] = matched_by_kornia
        yield f"adalam, {keypoints}", compare(matchers, features, rounds=arguments.rounds)
    yield (
        "coarse pass",
        {
            f"{count} keypoints": time_coarse(features, keypoints=count, rounds=5 * arguments.rounds)
            for count in (1024, 512)
        },
    )


def set_threads() -> None:
    """Hold every library to one thread, so that CPU time is work and not waiting."""
    faiss.omp_set_num_threads(1)
    cv2.setNumThreads(1)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


def main() -> None:
    """Print the comparisons and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--keypoints", type=int, nargs="+", default=[2048, 4096, 8192])
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("set OMP_NUM_THREADS=1: NumPy's BLAS reads its threads from there when it is loaded")
    machine = this_machine()
    set_threads()
    measured: dict[str, dict[str, Side]] = {}
    for title, sides in comparisons(arguments):
        measured[title] = sides
        ours = next(iter(sides.values())).cpu_ms
        for name, figures in sides.items():
            figure = f"{figures.cpu_ms:8.1f} CPU-ms  {figures.matches:7.0f} matches"
            print(f"{title:26s} {name:14s} {figure}  {ours / figures.cpu_ms:.2f}")
    if arguments.json:
        result = Matching(machine=machine, photos=arguments.photos, rounds=arguments.rounds, comparisons=measured)
        write_result(result, arguments.json)


if __name__ == "__main__":
    main()
