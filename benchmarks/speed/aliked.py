"""Time our forward pass of ALIKED against kornia's, in turn, on the same photos and weights.

    python benchmarks/speed/aliked.py DATA/dev/fountain/images --json benchmarks/results/aliked.json

Both sides give the same number of keypoints with their scores and descriptors; how far these agree is told too.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from kornia.feature import ALIKED

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from schema import write_result
from speed_schema import AlikedModel, LeanAlikedResult

from reconflow.nets.catalogue import weights_named
from reconflow.nets.checkpoint import fill_module, load_tensors
from reconflow.nets.devices import torch_device
from reconflow.nets.lean_aliked import LeanAliked
from reconflow.nets.raster import resized
from reconflow.nets.weights import obtain_weights
from reconflow.stages.ingest import read_image

T = TypeVar("T")
THRESHOLD = 0.2
SAME_PX = 1e-2
EXACT = "donot_use_mm_for_euclid_dist"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--models", nargs="+", default=["aliked-t16", "aliked-n16rot", "aliked-n32"])
    parser.add_argument("--long-edge", type=int, default=1024)
    parser.add_argument("--keypoints", type=int, default=2048)
    parser.add_argument("--at-most", type=int, default=4, metavar="PHOTOS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = this_machine()
    device = torch_device()
    paths = sorted(arguments.photos.iterdir())[: arguments.at_most]
    rasters = [resized(read_image(str(path)), arguments.long_edge) for path in paths]
    photos = [torch.from_numpy(raster.copy()).permute(2, 0, 1).float().to(device) / 255 for raster in rasters]
    result = LeanAlikedResult(
        machine=machine,
        device=device.type,
        long_edge_px=arguments.long_edge,
        keypoints=arguments.keypoints,
        photos=len(photos),
        rounds=arguments.rounds,
        models=[_compared(name, photos, arguments.keypoints, arguments.rounds) for name in arguments.models],
    )
    for one in result.models:
        print(f"{one.name:<14} kornia {one.kornia_ms:7.0f} ms, ours {one.ours_ms:7.0f} ms, ratio {one.ratio:.2f}")
        print(f"{'':<14} {one.common:.1%} of keypoints in common, scores within {one.score_gap:.1e}")
    if arguments.json:
        write_result(result, arguments.json)


@torch.inference_mode()
def _compared(name: str, photos: list[torch.Tensor], keypoints: int, rounds: int) -> AlikedModel:
    kornia, lean = _model(name, keypoints), LeanAliked(_model(name, keypoints))
    theirs_s: list[float] = []
    ours_s: list[float] = []
    common: list[float] = []
    gaps: list[float] = []
    for turn in range(rounds + 1):
        for photo in photos:
            seconds, theirs = _timed(lambda photo=photo: kornia(photo[None])[0])
            own_seconds, ours = _timed(lambda photo=photo: lean(photo, threshold=THRESHOLD, at_most=keypoints))
            if turn:
                theirs_s.append(seconds)
                ours_s.append(own_seconds)
                continue
            distance, row = torch.cdist(theirs.keypoints, ours.keypoints, compute_mode=EXACT).min(dim=1)
            same = distance < SAME_PX
            common.append(float(same.float().mean()))
            gaps.append(float((ours.scores[row] - theirs.keypoint_scores)[same].abs().max()))
    return AlikedModel(
        name=name,
        kornia_ms=1000 * statistics.median(theirs_s),
        ours_ms=1000 * statistics.median(ours_s),
        ratio=statistics.median(mine / other for mine, other in zip(ours_s, theirs_s, strict=True)),
        common=statistics.mean(common),
        score_gap=max(gaps),
    )


def _model(name: str, keypoints: int) -> ALIKED:
    path = obtain_weights(weights_named(name))
    model = ALIKED(name, max_num_keypoints=keypoints)
    fill_module(model, load_tensors(path), path=path, derived=("dkd.hw_grid",))
    return model.to(torch_device())


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    made = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun, made


if __name__ == "__main__":
    main()
