"""Photos that lie on their side, for networks that know only upright ones."""

import cv2
import numpy as np
import pytest
from PIL import Image

from reconflow.config import ExtractConfig, load_config
from reconflow.core.images import ImageRecord
from reconflow.core.matches import PairSummary
from reconflow.core.pairs import all_pairs
from reconflow.nets.sift import Sift
from reconflow.pipeline.cluster import open_client
from reconflow.pipeline.events import Notice, StageStarted
from reconflow.pipeline.run import run
from reconflow.pipeline.turning import turned_to_match
from reconflow.pipeline.two_photos import match_photos
from reconflow.stages.extract import extract_features
from reconflow.stages.ingest import read_image
from reconflow.world.photos import make_sample

LEARNED = ["extract.extractor=aliked-n16rot", "extract.max_keypoints=1500", "cloud.normals=false"]


def summary(pair, verified, inliers=50):
    return PairSummary(
        first=str(pair[0]), second=str(pair[1]), putative=60, inliers=inliers if verified else 0,
        configuration="CALIBRATED", verified=verified, reason="" if verified else "few inliers",
    )  # fmt: skip


class World:
    """Photos whose pairs match when both lie the same way."""

    def __init__(self, lying):
        self.records = [
            ImageRecord(name=str(n), path="", sha256=f"sha{n}", width=4, height=3) for n in range(len(lying))
        ]
        self.lying = dict(zip((record.name for record in self.records), lying, strict=True))
        self.looks = []

    def look(self, records, pairs):
        self.looks.append(len(pairs))
        ways = [(self.lying[record.name] + record.quarters) % 4 for record in records]
        return {(a, b): summary((records[a].name, records[b].name), ways[a] == ways[b]) for a, b in pairs}

    def settled(self):
        pairs = all_pairs(len(self.records))
        summaries = list(self.look(self.records, pairs).values())
        return [r.quarters for r in turned_to_match(self.records, pairs, summaries, look=self.look)]


def test_groups_are_turned_to_the_way_of_the_largest():
    assert World([0, 0, 0, 1, 1, 2, 3]).settled() == [0, 0, 0, 3, 3, 2, 1]


def test_photos_that_match_as_they_are_cost_no_second_look():
    world = World([0, 0, 0])
    assert world.settled() == [0, 0, 0]
    assert len(world.looks) == 1


def test_keypoints_of_a_turned_photo_are_places_in_the_raw_one(sample):
    image = read_image(str(min(sample.images.rglob("*.jpg"))))
    config = ExtractConfig(max_keypoints=300)
    raw = extract_features(image, config=config, extractor=Sift())
    for quarters in (1, 2, 3):
        turned = extract_features(image, config=config, extractor=Sift(), quarters=quarters)
        assert turned.image_size == raw.image_size
        gaps = np.linalg.norm(turned.keypoints[:, None] - raw.keypoints[None], axis=2)
        nearest = gaps.argmin(1)
        same = (gaps.min(1) < 0.3) & (abs(turned.scales / raw.scales[nearest] - 1) < 0.05)
        assert same.mean() > 0.6
        off = turned.orientations[same] - raw.orientations[nearest[same]]
        assert np.median(np.cos(off)) > 0.98


@pytest.fixture(scope="module")
def lying(weights, tmp_path_factory):
    """Six photos of a scene; two lie on their side and one on its head, and one says so in EXIF."""
    folder = tmp_path_factory.mktemp("lying")
    sample = make_sample(folder / "made", scenes=("courtyard",), photos_per_scene=6, strays=0, size=(640, 480))
    out = folder / "photos"
    out.mkdir()
    turns = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_90_CLOCKWISE, 4: cv2.ROTATE_180, 5: cv2.ROTATE_90_CLOCKWISE}
    for number, path in enumerate(sorted(sample.images.rglob("*.jpg"))):
        image = Image.fromarray(read_image(str(path)))
        if number in turns:
            image = Image.fromarray(cv2.rotate(np.asarray(image), turns[number]))
        exif = Image.Exif()
        if number == 5:
            exif[0x0112] = 8  # counter-clockwise puts it upright
        image.save(out / path.name, quality=95, exif=exif)
    return out


@pytest.fixture(scope="module")
def own_client(weights):
    with open_client(workers=2, gpus=0) as made:
        yield made


def test_a_run_turns_photos_for_networks(lying, own_client, tmp_path):
    heard = []
    config = load_config(overrides=LEARNED)
    found = run(lying, tmp_path / "out", client=own_client, config=config, on_event=heard.append)
    assert [len(model.images) for model in found.clusters] == [6]
    assert "3 photos match the others once they are turned" in [e.message for e in heard if isinstance(e, Notice)]
    again = []
    run(lying, tmp_path / "out", client=own_client, config=config, on_event=again.append)
    assert all(
        event.reused == event.total
        for event in again
        if isinstance(event, StageStarted) and event.stage in ("extract", "match", "turn")
    )
    assert not [e.message for e in again if isinstance(e, Notice) and "is replaced" in e.message]


def test_without_turns_they_are_lost(lying, own_client, tmp_path):
    config = load_config(overrides=[*LEARNED, "shortlist.turns=false"])
    found = run(lying, tmp_path / "out", client=own_client, config=config)
    assert sum(len(model.images) for model in found.clusters) == 3  # upright, or said to be by EXIF


def test_two_photos_are_tried_in_all_turns(lying):
    first, second = sorted(lying.iterdir())[:2]
    found = match_photos(first, second, "aliked-n16rot+adalam")
    assert not found.reason
    assert found.turned
    assert f"the second photo turned by {90 * found.turned}°" in str(found)
    still = load_config(overrides=["shortlist.turns=false"])
    assert match_photos(first, second, "aliked-n16rot+adalam", config=still).reason
