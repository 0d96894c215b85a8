"""Time LightGlue and LighterGlue in batches against kornia's own forward, one pair at a time in float32.

    python benchmarks/speed/lightglue.py DATA/dev/fountain/images --json benchmarks/results/lightglue.json

All pairs of the first photos are matched. kornia's features lie on the device before its clock starts, ours do not.
kornia runs as the authors use it, where layers and keypoints are left out once the network is sure, as in ours; and
with all layers. On a GPU both attend in half precision by FlashAttention, as kornia does by itself. Where the authors'
weights are missing the network has their sizes and seeded weights, which are never sure: its time is that of all
layers, and its matches mean nothing.
"""

import argparse
import copy
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from kornia.feature import LightGlue

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import network_device, this_machine
from schema import write_result
from speed_schema import Batches, BatchesModel, DenseSide, Other

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.core.features import Features
from reconflow.nets.catalogue import weights_named
from reconflow.nets.devices import torch_device
from reconflow.nets.lightglue import LightGlueMatcher, network
from reconflow.nets.protocols import TileView
from reconflow.nets.registry import create_extractor
from reconflow.nets.weights import find_weights, obtain_weights
from reconflow.stages.ingest import read_image

MODELS = {"lighterglue-xfeat": ("xfeat", {}), "lightglue-aliked": ("aliked-n16rot", {"input_dim": 128, "n_layers": 9})}
"""Extractor, and sizes for seeded weights."""
AS_IT_COMES, ALL_LAYERS = "kornia, leaving out what is sure", "kornia, all layers"

Pair = tuple[int, int]
Matched = dict[Pair, set[tuple[int, ...]]]


class Turn(NamedTuple):
    """One side's wall and CPU seconds, and what it matched."""

    wall_s: float
    cpu_s: float
    made: Matched


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--at-most", type=int, default=12, metavar="PHOTOS")
    parser.add_argument("--long-edge", type=int, default=1280)
    parser.add_argument("--keypoints", type=int, default=2048)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--batch", type=int, default=0, help="pairs at a time; what suits the device by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    machine = this_machine()
    device, on_a_gpu = network_device()
    paths = sorted(arguments.photos.iterdir())[: arguments.at_most]
    result = Batches(
        machine=machine,
        device=device,
        on_a_gpu=on_a_gpu,
        photos=len(paths),
        pairs=len(paths) * (len(paths) - 1) // 2,
        long_edge_px=arguments.long_edge,
        keypoints=arguments.keypoints,
        precision=arguments.precision,
        rounds=arguments.rounds,
        models=[compared(name, paths, arguments) for name in arguments.models],
    )
    for model in result.models:
        print(f"{model.name}, {model.weights}: {model.ours.wall_ms:.0f} ms a pair, {model.ours.matches:.0f} matches")
        for name, other in model.others.items():
            print(f"  {name}: {other.side.wall_ms:.0f} ms, ours {other.wall_ratio:.2f} × as fast,", end=" ")
            print(f"{other.kept:.1%} of its matches kept")
    print(f"{device}: {on_a_gpu}")
    if arguments.json:
        write_result(result, arguments.json)


def compared(name: str, paths: list[Path], arguments: argparse.Namespace) -> BatchesModel:
    """Run all sides of a model in turn, one round to warm up."""
    extractor, sizes = MODELS[name]
    reader = create_extractor(extractor)
    config = ExtractConfig(extractor=extractor, max_keypoints=arguments.keypoints, long_edge_px=arguments.long_edge)
    photos = [reader.extract(read_image(str(path)), config=config) for path in paths]
    with tempfile.TemporaryDirectory() as scratch:
        official = find_weights(weights_named(name)) is not None
        if not official:
            write_seeded(name, Path(scratch), **sizes)
        model = network(name, obtain_weights(weights_named(name)), torch_device())
        if torch_device().type == "cuda":
            model = with_flash(model).to(torch_device())
        matcher = LightGlueMatcher(0, name, batch=arguments.batch)
        own = MatchConfig(precision=arguments.precision)
        sides: dict[str, Callable[[], Matched]] = {"ours": lambda: in_batches(matcher, photos, own)}
        ready = [as_kornia_reads(photo) for photo in photos]
        if official:
            sides[AS_IT_COMES] = lambda: one_by_one(model, ready)
        whole = copy.deepcopy(model)
        whole.conf.depth_confidence = whole.conf.width_confidence = -1
        sides[ALL_LAYERS] = lambda: one_by_one(whole, ready)
        turns = [{side: timed(run) for side, run in sides.items()} for _ in range(arguments.rounds + 1)][1:]
    return BatchesModel(
        name=name,
        weights="the authors' weights" if official else "seeded weights of the authors' sizes",
        ours=side_of(turns, "ours"),
        others={side: beside(turns, side) for side in sides if side != "ours"},
    )


def with_flash(model: LightGlue) -> LightGlue:
    """Return the network as kornia makes it by itself, with FlashAttention, which ours is made without."""
    made = LightGlue(None, **vars(model.conf) | {"flash": True})  # pyright: ignore[reportArgumentType]
    made.load_state_dict(model.state_dict())
    return made.eval()


def write_seeded(name: str, folder: Path, **sizes: int) -> None:
    """Write seeded weights where they are looked for from now on, beside those that were found before."""
    if not sizes:
        raise SystemExit(f"the weights of {name} are missing: `reconflow weights fetch {name}`")
    torch.manual_seed(0)
    model = LightGlue(None, flash=False, **sizes)  # pyright: ignore[reportArgumentType] - kornia's options have no types
    head: Any = model.log_assignment[-1]
    head.matchability.bias.data.fill_(4.0)  # such that descriptors that are alike match
    head.final_proj.weight.data.mul_(12)
    torch.save(model.state_dict(), folder / weights_named(name).files[0].name)
    os.environ["RECONFLOW_WEIGHTS"] = str(folder)


def in_batches(matcher: LightGlueMatcher, photos: list[Features], config: MatchConfig) -> Matched:
    """Match all pairs our way."""
    pairs = list(itertools.combinations(range(len(photos)), 2))
    found = matcher.match_tile([TileView(photo) for photo in photos], pairs, config=config)
    return {pairs[place]: set(map(tuple, finish().indices.tolist())) for place, finish in found}


def as_kornia_reads(photo: Features) -> dict[str, torch.Tensor]:
    """Return one photo's features on the device."""
    device = torch_device()
    return {
        "keypoints": torch.tensor(photo.keypoints - 0.5, device=device).float()[None],
        "descriptors": torch.tensor(photo.descriptors, device=device).float()[None],
        "image_size": torch.tensor([photo.image_size], device=device),
    }


@torch.inference_mode()
def one_by_one(model: LightGlue, photos: list[dict[str, torch.Tensor]]) -> Matched:
    """Match all pairs by kornia's forward."""
    found: Matched = {}
    for i, j in itertools.combinations(range(len(photos)), 2):
        answer: dict[str, Any] = model({"image0": photos[i], "image1": photos[j]})
        found[i, j] = set(map(tuple, answer["matches"][0].tolist()))
    return found


def timed(side: Callable[[], Matched]) -> Turn:
    """Time a side, which brings its matches back from the device."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = side()
    return Turn(time.perf_counter() - wall, time.process_time() - cpu, found)


def side_of(turns: list[dict[str, Turn]], name: str) -> DenseSide:
    """Return the medians of one side, for a pair."""
    made = turns[-1][name].made
    return DenseSide(
        wall_ms=1e3 * statistics.median(turn[name].wall_s for turn in turns) / len(made),
        cpu_ms=1e3 * statistics.median(turn[name].cpu_s for turn in turns) / len(made),
        matches=sum(map(len, made.values())) / len(made),
    )


def beside(turns: list[dict[str, Turn]], name: str) -> Other:
    """Return another side, and ours beside it turn by turn."""
    mine, theirs = turns[-1]["ours"].made, turns[-1][name].made
    shared = sum(len(mine[pair] & theirs[pair]) for pair in theirs)
    return Other(
        side=side_of(turns, name),
        wall_ratio=statistics.median(turn[name].wall_s / turn["ours"].wall_s for turn in turns),
        cpu_ratio=statistics.median(turn[name].cpu_s / turn["ours"].cpu_s for turn in turns),
        kept=shared / max(1, sum(map(len, theirs.values()))),
    )


if __name__ == "__main__":
    main()
