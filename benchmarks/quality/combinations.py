"""Whole runs of several combinations of extractors and matchers on folders of photos with ground truth.

    combinations.py DATA/dev/et … --with sift+adalam aliked-n16rot+mnn --json results/combinations.json

A set is a folder as for ``evaluate.py``. Combinations take turns on each set, and nothing is kept between runs. With
``--vary`` each combination runs with each of these settings, and with ``--photos-px`` all see small copies of photos.
"""

import argparse
import itertools
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import this_machine
from outcomes import finished, our_outcome
from PIL import Image
from quality_schema import CombinationRun, Combinations
from schema import write_result

from reconflow.nets.methods import split_combination, why_unusable


def main() -> None:
    """Measure, print and write after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--with", nargs="+", dest="combinations", default=["sift+adalam"], metavar="COMBINATION")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="SECTION.OPTION=VALUE")
    parser.add_argument("--vary", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    parser.add_argument("--photos-px", type=int, default=0, metavar="N", help="reduce photos to this long edge before")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for combination in arguments.combinations:
        if reason := why_unusable(*split_combination(combination)):
            parser.error(f"{combination}: {reason}")
    machine = this_machine()
    runs: list[CombinationRun] = []
    with tempfile.TemporaryDirectory() as copies:
        for path in arguments.sets:
            photos = _small_copy(path, Path(copies), arguments.photos_px) if arguments.photos_px else path
            for combination, variant in itertools.product(arguments.combinations, arguments.vary or [""]):
                runs.append(_run(photos, combination, variant, arguments.overrides))
                print(_line(runs[-1]), flush=True)
                if arguments.json:
                    told = {"overrides": arguments.overrides, "photos_px": arguments.photos_px}
                    write_result(Combinations(machine=machine, runs=runs, **told), arguments.json)


def _small_copy(path: Path, copies: Path, long_edge_px: int) -> Path:
    """Return a copy of a set whose photos are no larger than that, with their EXIF."""
    shutil.copytree(path, copies / path.name, ignore=shutil.ignore_patterns("images"))
    (copies / path.name / "images").mkdir()
    for file in sorted((path / "images").iterdir()):
        with Image.open(file) as photo:
            if max(photo.size) <= long_edge_px:
                shutil.copy(file, copies / path.name / "images")
                continue
            exif = photo.getexif()
            photo.thumbnail((long_edge_px, long_edge_px), Image.Resampling.LANCZOS)
            photo.save(copies / path.name / "images" / file.name, quality=92, exif=exif)
    return copies / path.name


def _run(path: Path, combination: str, variant: str, overrides: list[str]) -> CombinationRun:
    extractors, matchers = split_combination(combination)
    settings = [f"extract.extractor={extractors}", f"match.matcher={matchers}", *overrides, *filter(None, [variant])]
    command = [sys.executable, "-m", "reconflow.cli", "run", str(path / "images"), "--dataset", path.name]
    command += [part for text in settings for part in ("--set", text)]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        reading = finished([*command, "--out", str(out)], out / "report.json")
        outcome = our_outcome(path, out, [reading])
        return CombinationRun(set=path.name, combination=combination, variant=variant, outcome=outcome)


def _line(run: CombinationRun) -> str:
    found = run.outcome
    score = "" if found.official is None else f"{found.official:6.2f} / {found.strict:6.2f}"
    count = f"{found.registered}/{found.images}"
    what = f"{run.set:<10} {run.combination:<36} {run.variant}"
    return f"{what} {count:>8} {score} {found.readings[0].wall_s:7.1f} s {found.stages_s}"


if __name__ == "__main__":
    main()
