import uuid

import pytest
from PIL import Image

from reconflow.core.drift import DriftReport
from reconflow.core.images import ImageRecord
from reconflow.core.scenes import Split
from reconflow.errors import Cancelled
from reconflow.jobs.publication import publish_result
from reconflow.jobs.records import Job
from reconflow.pipeline.outputs import RunFacts, write_outputs
from reconflow.store.run_folder import RunFolder, RunManifest

PHOTOS = 12
JOB = Job(
    job_id=str(uuid.uuid4()),
    owner_id="anna",
    dataset_name="d",
    scene_name="s",
    created_at=0.0,
    options={},
    drift=DriftReport(),
)


@pytest.fixture
def result(tmp_path):
    """A run of photos of which none found a place."""
    photo = tmp_path / "photo.png"
    Image.effect_noise((320, 240), 60).save(photo)
    record = {"path": str(photo), "sha256": "0", "width": 320, "height": 240}
    records = tuple(ImageRecord(name=f"{number:02d}.png", **record) for number in range(PHOTOS))
    facts = RunFacts(
        dataset="d",
        records=records,
        unreadable=(),
        pairs=(),
        split=Split(scenes=(), outliers={each.name: "alone" for each in records}),
        scenes=(),
        clouds=(),
        thumbnails={},
        methods="sift+adalam",
        timings_s={},
        reused={},
    )
    with RunFolder(tmp_path / "run") as folder:
        folder.write_manifest(RunManifest(url="store", features=("f",), geometries="g"), sections={})
        folder.write_records(records, ["key"] * len(records))
        return write_outputs(facts, folder)


@pytest.fixture
def target(tmp_path):
    (tmp_path / "published").mkdir()
    return tmp_path / "published" / "result"


def pictures(target):
    return len(list(target.parent.rglob("thumbnails/*.jpg")))


def test_a_publication_asks_before_each_picture_whether_it_may_go_on(result, target):
    asked = []
    publish_result(result, JOB, target, check=lambda: asked.append(pictures(target)))
    assert set(range(PHOTOS)) <= set(asked)
    assert pictures(target) == PHOTOS


def test_a_publication_that_may_not_go_on_leaves_nothing(result, target):
    def is_over():
        if pictures(target) == 4:
            raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        publish_result(result, JOB, target, check=is_over)
    assert list(target.parent.iterdir()) == []
