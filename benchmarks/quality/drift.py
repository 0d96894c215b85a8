"""How often the drift check is wrong: undrifted scenes that it flags, and drifted ones that it passes over.

    drift.py --places DATA/dev/door DATA/dev/et … --walk DATA/large/seneca --rendered 6 --json results/drift.json

Three kinds of service: one that sees another place each time (``--places``, a folder each), one that sees stretches of
one place by one camera (``--walk``, cut into pieces), and rendered scenes (``--rendered``: so many of each).
Of each kind scenes are drawn for a baseline, and one more is checked against it: as it is, in grey, half as bright,
blurred, and with half the pixels each way. Changes are made to the small rasters that the statistics are taken from.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from quality_schema import Drift, DriftKind, DriftRow
from schema import write_result

from reconflow.core.arrays import Array
from reconflow.core.drift import SceneSummary
from reconflow.stages.drift import FEWEST_TO_JUDGE, build_baseline, check_drift, scene_summary
from reconflow.stages.ingest import image_stats
from reconflow.world.photos import make_sample
from reconflow.world.scenes import SCENES

EDGE_PX = 512
"""The long edge that a photo's appearance is taken from."""
Photo = tuple[Array, int, int]
"""Small raster, width and height of the photo."""


def _gray(photo: Photo) -> Photo:
    pixels, width, height = photo
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2), width, height


def _dark(photo: Photo) -> Photo:
    pixels, width, height = photo
    return (pixels * 0.5).round().astype(np.uint8), width, height


def _blurred(photo: Photo) -> Photo:
    pixels, width, height = photo
    return cv2.GaussianBlur(pixels, (0, 0), 0.004 * max(pixels.shape[:2])), width, height


def _reduced(photo: Photo) -> Photo:
    pixels, width, height = photo
    return pixels, width // 2, height // 2


CHANGES: Mapping[str, Callable[[Photo], Photo]] = {
    "none": lambda photo: photo,
    "grey": _gray,
    "half as bright": _dark,
    "blurred": _blurred,
    "half the pixels each way": _reduced,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=Path, nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--walk", type=Path, metavar="FOLDER")
    parser.add_argument("--rendered", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--photos", type=int, default=8, help="of a stretch, and of a rendered scene")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 3, 5, 8, 12], help="scenes in a baseline")
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine, kinds = this_machine(), []
    for name, scenes in _kinds(arguments):
        summaries = [{change: _summary(scene, change) for change in CHANGES} for scene in scenes]
        sizes = [size for size in arguments.sizes if size < len(scenes)]
        sizes = sorted({*sizes, len(scenes) - 1})
        rows = [_row(summaries, size, draws=arguments.draws, seed=arguments.seed) for size in sizes]
        kinds.append(DriftKind(name=name, scenes=len(scenes), photos=sum(map(len, scenes)), rows=rows))
        print(f"{name}: {len(scenes)} scenes, {sum(map(len, scenes))} photos")
        print(f"{'in the baseline':>16}" + "".join(f"{change:>26}" for change in CHANGES))
        for row in rows:
            print(f"{row.baseline:>16}" + "".join(f"{row.flagged[c]:>16.0%} ({row.high[c]:.0%})" for c in CHANGES))
    if arguments.json:
        result = Drift(machine=machine, draws=arguments.draws, seed=arguments.seed, kinds=kinds)
        write_result(result, arguments.json)
    return 0


def _kinds(arguments: argparse.Namespace) -> list[tuple[str, list[list[Photo]]]]:
    found: list[tuple[str, list[list[Photo]]]] = []
    if arguments.places:
        found.append(("other places and cameras", [_photos(folder) for folder in arguments.places]))
    if arguments.walk:
        photos, each = _photos(arguments.walk), arguments.photos
        stretches = [photos[at : at + each] for at in range(0, len(photos), each)]
        found.append(("stretches of one flight", [part for part in stretches if len(part) >= FEWEST_TO_JUDGE]))
    if arguments.rendered:
        found.append(("rendered scenes", list(_rendered(arguments.rendered, arguments.photos))))
    return found


def _rendered(seeds: int, photos: int) -> list[list[Photo]]:
    found: list[list[Photo]] = []
    for seed in range(1, seeds + 1):
        for scene in SCENES:
            with tempfile.TemporaryDirectory() as place:
                made = make_sample(
                    place, scenes=(scene,), photos_per_scene=photos, strays=0, size=(512, 384), seed=seed
                )
                found.append(_photos(made.folder))
    return found


def _photos(folder: Path) -> list[Photo]:
    """Return the photos of a set: of its folder ``images/``, in order."""
    found: list[Photo] = []
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            width, height = image.size
            image.draft("RGB", (EDGE_PX, EDGE_PX))
            pixels = np.asarray(image.convert("RGB"))
        scale = min(1.0, EDGE_PX / max(pixels.shape[:2]))
        size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
        found.append((cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), width, height))
    return found


def _summary(scene: Sequence[Photo], change: str) -> SceneSummary:
    changed = [CHANGES[change](photo) for photo in scene]
    return scene_summary([(image_stats(pixels), width, height) for pixels, width, height in changed])


def _row(scenes: Sequence[Mapping[str, SceneSummary]], size: int, *, draws: int, seed: int) -> DriftRow:
    """Draw a baseline of ``size`` scenes and another scene, again and again."""
    rng = np.random.default_rng([seed, size])
    flagged, high = dict.fromkeys(CHANGES, 0), dict.fromkeys(CHANGES, 0)
    culprits: dict[str, int] = {}
    for _ in range(draws):
        one, *others = rng.permutation(len(scenes))[: size + 1]
        baseline = build_baseline({str(n): scenes[n]["none"] for n in others}, created_at="", schema=1)
        for change in CHANGES:
            report = check_drift(scenes[one][change], baseline)
            flagged[change] += report.drift_detected
            high[change] += report.severity == "high"
            if change == "none":
                for name, check in report.checks.items():
                    culprits[name] = culprits.get(name, 0) + check.drift
    return DriftRow(
        baseline=size,
        flagged={change: count / draws for change, count in flagged.items()},
        high={change: count / draws for change, count in high.items()},
        wrongly={name: count / draws for name, count in culprits.items() if count},
    )


if __name__ == "__main__":
    sys.exit(main())
