"""Where settings start from, by name: differences from the defaults."""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "fast": {
        "extract": {"extractor": "sift", "max_keypoints": 2048, "long_edge_px": 1024},
        "match": {"matcher": "adalam"},
    },
    "default": {},
    "detailed": {
        "extract": {"extractor": "sift", "max_keypoints": 12_000, "long_edge_px": 3200},
        "match": {"matcher": "adalam", "coarse_min_matches": 2},
    },
    "best": {
        "extract": {"extractor": "aliked-n16rot,superpoint", "max_keypoints": 4096},
        "match": {"matcher": "mast3r_hybrid"},
    },
}
"""Differences from the defaults, by preset name, from the quickest to the most thorough. A preset never turns into
another one: where its weights are missing, the run says so. ``default`` leaves the methods to the machine, and the
run tells which they are and why."""
NEEDS_NO_WEIGHTS = "detailed"
"""The most thorough preset that runs everywhere."""
