"""Time MASt3R matching with photos encoded once and pairs in batches against one pair at a time.

::

    python benchmarks/speed/mast3r.py --json mast3r.json
    python benchmarks/speed/mast3r.py --seeded official --long-edge 512 --photos 24 --json mast3r.json
    python benchmarks/speed/mast3r.py --weights CHECKPOINT --long-edge 512 --photos 24 --json mast3r.json

The usual way, as the authors' scripts go about it and written anew here, takes the pairs one by one in float32: it
encodes both photos again for each order of a pair, decodes, and matches. Ours encodes every photo once, keeps the
tokens in half precision, and decodes batches of pairs in both orders at a time. On a GPU the usual way's network runs
in TF32, as its authors' does. Neither side computes the point heads, which the usual way would. Without ``--weights``
the network has seeded ones: of the official sizes its time is that of the real one, and its matches mean nothing; a
small one tells how the orders of work compare. Photos are noise.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import network_device, this_machine
from schema import write_result
from speed_schema import Dense, DenseSide

from reconflow.config import MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.nets.devices import torch_device
from reconflow.nets.frames import frame_of, framed
from reconflow.nets.mast3r.checkpoint import shared_mast3r
from reconflow.nets.mast3r.encoder import Mast3rEncoder
from reconflow.nets.mast3r.matcher import Mast3rMatcher
from reconflow.nets.mast3r.model import PATCH, Mast3r, Sizes
from reconflow.nets.mast3r.reciprocal import reciprocal_matches
from reconflow.nets.protocols import TileView

SIZES = {
    "small": Sizes(256, 8, 1024, 192, 4, 768, 512, 25 * 256),
    "official": Sizes(1024, 24, 4096, 768, 12, 3072, 7168, 25 * 256),
}
"""Half of the usual way's products are its encoder's in the small network; in the official one, at 512 × 384, 63 %."""

Matched = dict[tuple[int, int], set[tuple[float, ...]]]


def noise_photo(*, seed: int) -> Array:
    """Return a (768, 1024, 3) picture of noise in several octaves."""
    rng = np.random.default_rng(seed)
    total = np.zeros((768, 1024, 3), np.float32)
    for cell in (4, 16, 64):
        grain = rng.random((768 // cell + 2, 1024 // cell + 2, 3), np.float32)
        total += cv2.resize(grain, (1024, 768), interpolation=cv2.INTER_CUBIC)
    return np.clip(total / 3 * 255, 0, 255).astype(np.uint8)


def seeded_checkpoint(folder: Path, sizes: Sizes) -> Path:
    """Write a network with seeded weights as a checkpoint."""
    torch.manual_seed(0)
    path = folder / "seeded.pth"
    torch.save({"model": Mast3r(sizes).state_dict()}, path)
    return path


def one_by_one(photos: list[Array], file: Path, *, long_edge_px: int) -> Matched:
    """Match all pairs the usual way."""
    device = torch_device()
    network = shared_mast3r(file, device)
    found: Matched = {}
    for i, j in itertools.combinations(range(len(photos)), 2):
        matches: set[tuple[float, ...]] = set()
        for a, b in ((i, j), (j, i)):
            rasters, grids = [], []
            for photo in (photos[a], photos[b]):
                raster = framed(
                    photo, frame_of(photo.shape[1], photo.shape[0], long_edge_px=long_edge_px, patch_px=PATCH)
                )
                pixels = torch.from_numpy(raster.copy()).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
                rasters.append(pixels)
                grids.append((raster.shape[0] // PATCH, raster.shape[1] // PATCH))
            with torch.inference_mode():
                with tf32():
                    first, second = network.decode(*map(network.encode, rasters), grids=(grids[0], grids[1]))
                made = reciprocal_matches(first.descriptors, second.descriptors, step=8)[0].tolist()
            matches |= {tuple(match if a < b else match[2:] + match[:2]) for match in made}
        found[i, j] = matches
    return found


@contextlib.contextmanager
def tf32() -> Generator[None]:
    """Let what runs on a GPU meanwhile multiply and convolve in TF32."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def batched(photos: list[Array], file: Path, *, long_edge_px: int, precision: str) -> Matched:
    """Match all pairs our way."""
    encodings = Mast3rEncoder(file=file, precision=precision, long_edge_px=long_edge_px).encode(photos)  # pyright: ignore
    views = [TileView(no_features(photo), encoding) for photo, encoding in zip(photos, encodings, strict=True)]
    pairs = list(itertools.combinations(range(len(photos)), 2))
    matcher = Mast3rMatcher(30, file=file, hybrid=False)
    found: Matched = {}
    for place, finish in matcher.match_tile(views, pairs, config=MatchConfig(precision=precision)):  # pyright: ignore
        matches = finish()
        sides = (
            encodings[index].frame.to_raster(points.places) - 0.5
            for index, points in zip(pairs[place], (matches.first, matches.second), strict=True)
        )
        found[pairs[place]] = set(map(tuple, np.rint(np.column_stack(list(sides))).tolist()))
    return found


def no_features(photo: Array) -> Features:
    """Return the features of a photo in which none were looked for."""
    nothing = np.zeros(0, np.float32)
    size = (photo.shape[1], photo.shape[0])
    return Features(
        nothing.reshape(0, 2), nothing, nothing, nothing, nothing.reshape(0, 1), np.zeros((0, 3), np.uint8), size
    )


def timed(side: Callable[[], Matched]) -> tuple[float, float, Matched]:
    """Return a side's wall and CPU seconds and what it matched; the device has finished when the clock stops."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = side()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def compare(arguments: argparse.Namespace, file: Path, *, weights: str) -> Dense:
    """Run both sides in turn, one round to warm up, and return medians and the median of the ratios turn by turn."""
    photos = [noise_photo(seed=seed) for seed in range(arguments.photos)]
    machine = this_machine()

    def usual() -> Matched:
        return one_by_one(photos, file, long_edge_px=arguments.long_edge)

    def ours() -> Matched:
        return batched(photos, file, long_edge_px=arguments.long_edge, precision=arguments.precision)

    turns = [(timed(ours), timed(usual)) for _ in range(arguments.rounds + 1)][1:]
    (_, _, mine), (_, _, theirs) = turns[-1]
    pairs = len(theirs)
    shared = sum(len(mine[pair] & theirs[pair]) for pair in theirs)
    device, on_a_gpu = network_device()

    def side(number: int, made: Matched) -> DenseSide:
        wall, cpu = (statistics.median(turn[number][clock] for turn in turns) for clock in (0, 1))
        count = sum(map(len, made.values())) / pairs
        return DenseSide(wall_ms=1e3 * wall / pairs, cpu_ms=1e3 * cpu / pairs, matches=count)

    return Dense(
        machine=machine,
        device=device,
        on_a_gpu=on_a_gpu,
        weights=weights,
        photos=arguments.photos,
        pairs=pairs,
        long_edge_px=arguments.long_edge,
        precision=arguments.precision,
        rounds=arguments.rounds,
        ours=side(0, mine),
        usual=side(1, theirs),
        wall_ratio=statistics.median(b[0] / a[0] for a, b in turns),
        cpu_ratio=statistics.median(b[1] / a[1] for a, b in turns),
        usual_matches_kept=shared / max(1, sum(map(len, theirs.values()))),
    )


def main() -> None:
    """Print the comparison and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, help="the official checkpoint; seeded weights by default")
    parser.add_argument(
        "--seeded", choices=list(SIZES), default="small", help="sizes of the network with seeded weights"
    )
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--long-edge", type=int, default=256)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    if arguments.weights:
        result = compare(arguments, arguments.weights, weights="the official checkpoint")
    else:
        sizes = SIZES[arguments.seeded]
        depths = (sizes.encoder_depth, sizes.encoder_width, sizes.decoder_depth, sizes.decoder_width)
        told = f"seeded weights of {arguments.seeded} sizes (encoder {{}} × {{}}, decoders {{}} × {{}})".format(*depths)
        with tempfile.TemporaryDirectory() as scratch:
            result = compare(arguments, seeded_checkpoint(Path(scratch), sizes), weights=told)
    for name, side in (("ours", result.ours), ("usual", result.usual)):
        print(f"{name:6s} {side.wall_ms:8.1f} ms  {side.cpu_ms:8.1f} CPU-ms  {side.matches:6.0f} matches a pair")
    print(f"{result.device}: {result.wall_ratio:.2f} × as fast, {result.cpu_ratio:.2f} × by CPU time;", end=" ")
    print(f"{result.usual_matches_kept:.1%} of the usual way's matches; {result.on_a_gpu}")
    if arguments.json:
        write_result(result, arguments.json)


if __name__ == "__main__":
    main()
