"""A run whose matcher reads what an encoder made of each photo: a small MASt3R with seeded weights, beside SIFT.

Such weights match nothing, so the scene is SIFT's; what is seen here is that MASt3R has its part in the run."""

import shutil
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image

torch = pytest.importorskip("torch")

from distributed import get_task_stream  # noqa: E402

from reconflow.config import load_config  # noqa: E402
from reconflow.errors import Cancelled  # noqa: E402
from reconflow.nets.catalogue import weights_named  # noqa: E402
from reconflow.nets.registry import create_encoder  # noqa: E402
from reconflow.nets.weights import find_weights  # noqa: E402
from reconflow.pipeline.cluster import open_client  # noqa: E402
from reconflow.pipeline.events import Notice, StageStarted  # noqa: E402
from reconflow.pipeline.run import run  # noqa: E402
from reconflow.pipeline.two_photos import match_photos  # noqa: E402
from reconflow.store.encodings import EncodingStore, encodings_namespace, read_encodings  # noqa: E402
from reconflow.store.root import open_root  # noqa: E402
from reconflow.world.photos import make_sample  # noqa: E402

METHODS = [
    "extract.extractor=sift,sift",
    "match.matcher=adalam,mast3r_hybrid",
    "match.seed_step=64",
    "shortlist.exhaustive_up_to=0",
]


class Counts:
    def __init__(self):
        self.reused, self.total = {}, {}

    def __call__(self, event):
        if isinstance(event, StageStarted):
            self.reused[event.stage], self.total[event.stage] = event.reused, event.total


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=3, strays=0, size=(480, 352)
    ).images


@pytest.fixture(scope="module")
def checkpoint(small_weights, dinov2_weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    shutil.copy(dinov2_weights, folder)
    shutil.copy(small_weights, folder / weights_named("mast3r").files[0].name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECONFLOW_WEIGHTS", str(folder))
        assert find_weights(weights_named("mast3r"))
        yield


@pytest.fixture(scope="module")
def own_client(checkpoint):
    """Workers that know where the weights are."""
    with open_client(workers=2, gpus=0) as made:
        yield made


def test_photos_are_encoded_once_and_matched_by_tiles(own_client, photos, tmp_path):
    methods = load_config(overrides=[*METHODS, "extract.max_keypoints=400", "cloud.normals=false"])
    first, again = Counts(), Counts()
    found = run(photos, tmp_path / "a", client=own_client, config=methods, on_event=first)
    assert [len(model.images) for model in found.clusters] == [3]
    assert first.total["extract"] == 6  # features and encodings
    assert first.reused["extract"] == 0
    store = str(tmp_path / "a" / "store")
    run(photos, tmp_path / "b", client=own_client, config=methods, store=store, on_event=again)
    assert again.reused["extract"] == 6
    root = open_root(store)
    refs = list(EncodingStore(root, encodings_namespace(made_by("mast3r"))).index().values())
    encodings = read_encodings(root, refs)
    assert len(refs) == 3
    assert {encoding.tokens.dtype for encoding in encodings.values()} == {np.dtype(np.float16)}


def one_lying(photos, tmp_path):
    """Return a copy of the photos, one of which lies on its side, as EXIF says."""
    photos = shutil.copytree(photos, tmp_path / "photos")
    lying = min(photos.iterdir())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.open(lying).save(lying, exif=exif, quality=95)
    return photos


def test_a_network_that_ranks_sees_photos_as_the_one_that_matches_does(own_client, photos, tmp_path):
    options = [*METHODS, "shortlist.retrieval=vlad,dinov2-vits14", "shortlist.exhaustive_up_to=2"]
    options += ["shortlist.turns=false"]
    config = load_config(overrides=[*options, "extract.max_keypoints=400", "cloud.normals=false"])
    run(one_lying(photos, tmp_path), tmp_path / "out", client=own_client, config=config)
    root = open_root(str(tmp_path / "out" / "store"))
    matched, ranked = (
        set(EncodingStore(root, encodings_namespace(made_by(name))).index()) for name in ("mast3r", "dinov2-vits14")
    )
    assert sum(content.endswith(".1") for content in matched) == 1
    assert ranked == matched
    assert load_config(tmp_path / "out" / "run.toml").match.precision == "fp32"  # what ran, and not `auto`


def test_a_network_that_ranks_photos_sees_them_once(own_client, photos, tmp_path):
    ranked = load_config(
        overrides=[
            "shortlist.retrieval=vlad,dinov2-vits14",
            "shortlist.exhaustive_up_to=2",
            "extract.max_keypoints=400",
            "cloud.normals=false",
        ]
    )
    photos = one_lying(photos, tmp_path)
    store, first = str(tmp_path / "store"), Counts()
    found = run(photos, tmp_path / "a", client=own_client, config=ranked, store=store, on_event=first)
    assert [len(model.images) for model in found.clusters] == [3]
    assert (first.total["extract"], first.total["shortlist"]) == (3, 6)
    refs = EncodingStore(open_root(store), encodings_namespace(made_by("dinov2-vits14"))).index()
    packs = {ref.pack for ref in refs.values()}
    assert len(refs) == 3
    assert sum(content.endswith(".1") for content in refs) == 1  # seen upright, as EXIF says it stands; SIFT needs not
    again = Counts()
    run(photos, tmp_path / "b", client=own_client, config=ranked, store=store, on_event=again)
    now = EncodingStore(open_root(store), encodings_namespace(made_by("dinov2-vits14"))).index()
    assert {ref.pack for ref in now.values()} == packs
    assert (again.reused["shortlist"], again.reused["match"]) == (3, 3)


def made_by(name):
    return create_encoder(name, precision="fp32").made_with


def test_a_gpu_that_no_worker_uses_is_told_where_a_network_runs(own_client, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    told = []
    for methods in (METHODS, []):
        heard = []
        with pytest.raises(Cancelled):
            run(
                photos,
                tmp_path / "out",
                client=own_client,
                config=load_config(overrides=methods),
                on_event=heard.append,
                is_cancelled=lambda heard=heard: any(isinstance(event, StageStarted) for event in heard),
            )
        told.append([one.message for one in heard if isinstance(one, Notice) and one.stage != "weights"])
    assert [len(messages) for messages in told] == [1, 0]
    assert "torch sees a GPU" in told[0][0]


def test_two_photos_are_matched_by_a_matcher_of_tiles(checkpoint, photos):
    first, second = sorted(photos.iterdir())[:2]
    config = load_config(overrides=["match.seed_step=64", "shortlist.exhaustive_up_to=0"])
    matched = match_photos(first, second, combination="mast3r", config=config)
    assert len(matched.matches) == len(matched.matches.first) > 0  # places of its own, no keypoints
    assert matched.reason


@pytest.mark.slow
def test_mast3r_encodes_and_matches_on_gpus_while_sift_stays_on_cores(machine, checkpoint, photos, tmp_path):
    machine(2, visible="0,1")
    cut = ["execution.images_per_extract_task=1", "execution.images_per_tile=1", "shortlist.turns=false"]
    config = load_config(overrides=[*METHODS, *cut, "extract.max_keypoints=400", "cloud.normals=false"])
    with open_client(workers=1) as client, get_task_stream(client) as stream:
        workers = client.scheduler_info(n_workers=-1)["workers"].items()
        gpus = {address for address, one in workers if "GPU" in one["resources"]}
        found = run(photos, tmp_path / "out", client=client, config=config)
    ran_on = {}
    for task in stream.data:
        ran_on.setdefault(str(task["key"]).split("-")[0], set()).add(task["worker"])
    assert [len(model.images) for model in found.clusters] == [3]
    assert len(gpus) == 2
    assert ran_on["match"] <= gpus
    assert ran_on["extract"] & gpus  # encodings
    assert ran_on["extract"] - gpus  # SIFT is no network
