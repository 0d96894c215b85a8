"""Write ``RESULTS.md`` from ``results/*.json``: every figure published is one that was measured, losses beside wins.

python benchmarks/report.py            # write it
python benchmarks/report.py --check    # exit with 1 where it is not what the measurements say
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import quality_sections
import speed_sections
from quality_schema import Coarse, Combinations, Drift, Pairs, Quality, Scoring
from schema import Result, read_result
from speed_schema import Batches, Dense, LeanAlikedResult, Matching, Page, Planning, Service, Workers

HERE = Path(__file__).parent
OUT = HERE / "RESULTS.md"
_HEAD = """\
# Results

Written by `python benchmarks/report.py` from [`results/`](results); [README.md](README.md) says how it was measured.
"""


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    results = {path.name: read_result(path) for path in sorted((HERE / "results").glob("*.json"))}
    text = page(results)
    if arguments.check:
        same = OUT.exists() and OUT.read_text(encoding="utf-8") == text
        print(
            "RESULTS.md is what the measurements say" if same else "RESULTS.md is out of date: run benchmarks/report.py"
        )
        return int(not same)
    OUT.write_text(text, encoding="utf-8")
    return 0


def page(results: dict[str, Result]) -> str:
    """Return the whole page; results by file name."""
    parts = [_HEAD]
    parts += [section(name, result) for name, result in results.items()]
    return "\n".join(parts) if results else _HEAD + "\nNothing is published yet.\n"


def section(name: str, result: Result) -> str:
    """Return the section of one file."""
    title, body = _KINDS[type(result)]
    return f"## {title}: [`{name}`](results/{name})\n\n{body(result)}"


_KINDS: dict[type, tuple[str, Callable[[Any], str]]] = {
    Quality: ("Whole runs beside plain COLMAP", quality_sections.quality),
    Combinations: ("Features and matchers in whole runs", quality_sections.combinations),
    LeanAlikedResult: ("ALIKED's forward pass beside kornia's", speed_sections.aliked),
    Planning: ("Planning", speed_sections.planning),
    Service: ("The service while a job runs", speed_sections.service),
    Page: ("The web page", speed_sections.page),
    Dense: ("MASt3R beside the usual order of work", speed_sections.dense),
    Batches: ("LightGlue in batches beside kornia, pair by pair", speed_sections.batches),
    Workers: ("Matching by several workers, and how busy GPUs are", speed_sections.workers),
    Scoring: ("The IMC2025 metric beside an independent implementation", quality_sections.scoring),
    Matching: ("Search and matching beside what they replace", speed_sections.matching),
    Pairs: ("Features and matchers on pairs of photos", quality_sections.pairs),
    Coarse: ("What the coarse pass drops", quality_sections.coarse),
    Drift: ("How often the drift check is wrong", quality_sections.drift),
}
"""Title and body of a section, by what a file holds."""


if __name__ == "__main__":
    sys.exit(main())
