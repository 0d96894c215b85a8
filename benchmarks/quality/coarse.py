"""What the coarse pass drops: of pairs that show the same place, and of pairs that have nothing in common.

::

    python benchmarks/quality/coarse.py DATA/dev --with sift aliked-n16rot xfeat --json results/coarse.json

``DATA/dev`` is a folder as for ``pairs.py``. True pairs are those whose viewing directions differ by less than 120°;
some of them share so little that no matcher verifies them. How alike an extractor's descriptors have to be stands in
``reconflow/nets/registry.py``.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from known_photos import load_photos, raster_of, true_pairs, unrelated_pairs
from measure import this_machine
from quality_schema import Coarse, CoarseRow
from schema import write_result

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.core.pairs import Pair
from reconflow.nets.coarse import coarse_counts
from reconflow.nets.registry import EXTRACTORS, create_extractor, matchers_of, missing

_NEEDED = (2, 3, 5, 8, 12)
_ALL = 1_000_000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("RECONFLOW_TEST_DATA", ".") + "/dev")
    parser.add_argument("--with", nargs="+", dest="extractors", help="extractors; all with a coarse pass that run here")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = this_machine()
    photos = load_photos(arguments.data)
    if not photos:
        parser.error(f"{arguments.data} holds no set of photos with truth")
    true = true_pairs(photos, count=_ALL, seed=0)
    unrelated = unrelated_pairs(photos, count=_ALL, seed=0)
    usable = [name for name, entry in EXTRACTORS.items() if entry.coarse and not missing(name, matchers_of(name)[0])]
    if unusable := set(arguments.extractors or ()) - set(usable):
        parser.error(f"{', '.join(sorted(unusable))}: no extractor with a coarse pass that runs here")
    images = [raster_of(photo) for photo in photos]
    rows: list[CoarseRow] = []
    for name in arguments.extractors or usable:
        rows.append(_row(name, images, true, unrelated))
        print(_line(rows[-1], len(true)), flush=True)
    if arguments.json:
        result = Coarse(
            machine=machine,
            keypoints=MatchConfig().coarse_keypoints,
            needed=MatchConfig().coarse_min_matches,
            true_pairs=len(true),
            unrelated_pairs=len(unrelated),
            rows=rows,
        )
        write_result(result, arguments.json)


def _row(name: str, images: list[np.ndarray], true: list[Pair], unrelated: list[Pair]) -> CoarseRow:
    extractor, alike = create_extractor(name), EXTRACTORS[name].alike
    features = [extractor.extract(image, config=ExtractConfig(extractor=name)) for image in images]
    start = time.process_time()
    counts = np.array(coarse_counts(features, [*true, *unrelated], config=MatchConfig(), alike=alike))
    cpu_s = time.process_time() - start
    kin, strangers = counts[: len(true)], counts[len(true) :]
    return CoarseRow(
        extractor=name,
        alike=alike,
        lost={needed: int((kin < needed).sum()) for needed in _NEEDED},
        passed={needed: float((strangers >= needed).mean()) for needed in _NEEDED},
        cpu_ms_per_pair=1e3 * cpu_s / len(counts),
    )


def _line(row: CoarseRow, true: int) -> str:
    found = "; ".join(f"{n} needed: {row.lost[n]}/{true} lost, {row.passed[n]:.0%} pass" for n in _NEEDED)
    return f"{row.extractor:<14} alike {row.alike:.2f}  {row.cpu_ms_per_pair:.1f} CPU-ms  {found}"


if __name__ == "__main__":
    main()
