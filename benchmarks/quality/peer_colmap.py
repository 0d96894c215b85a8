"""The peer: plain pycolmap with its defaults, from photos to models and a submission.

SIFT as it comes, exhaustive matching, incremental mapping; only ``min_model_size`` may be changed, because the default
of ten loses small scenes. A photo in two models stands in the larger one; a photo in none stands among the outliers.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import pycolmap

from reconflow.core.cameras import Pose
from reconflow.core.submission import OUTLIERS, PoseRow, write_poses


def main() -> None:
    """Run the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--min-model-size", type=int, default=10)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    database = str(arguments.out / "database.db")
    times: dict[str, float] = {}
    started = time.monotonic()

    def lap(stage: str) -> None:
        times[stage] = time.monotonic() - started - sum(times.values())

    pycolmap.extract_features(database, str(arguments.photos))
    lap("extract")
    pycolmap.match_exhaustive(database)
    lap("match")
    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = arguments.min_model_size
    models = pycolmap.incremental_mapping(database, str(arguments.photos), str(arguments.out), options)
    lap("map")
    rows = _rows(models, sorted(p.name for p in arguments.photos.iterdir()), arguments.dataset)
    write_poses(rows, arguments.out / "submission.csv")
    registered = sum(row.cam_from_world is not None for row in rows)
    facts = {"registered": registered, "images": len(rows), "models": len(models), "stages_s": times}
    (arguments.out / "facts.json").write_text(json.dumps(facts))


def _rows(models: "dict[int, pycolmap.Reconstruction]", names: list[str], dataset: str) -> list[PoseRow]:
    rows = {name: PoseRow(dataset=dataset, scene=OUTLIERS, image=name) for name in names}
    for number, model in sorted(models.items(), key=lambda item: item[1].num_reg_images()):
        for image_id in model.reg_image_ids():
            image = model.images[image_id]
            pose = image.cam_from_world()
            rows[image.name] = PoseRow(
                dataset=dataset,
                scene=f"model{number}",
                image=image.name,
                cam_from_world=Pose(pose.rotation.matrix(), pose.translation),
            )
    return [rows[name] for name in names]


if __name__ == "__main__":
    main()
