"""What only a real device can show; skipped where there is none."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reconflow.config import ExtractConfig, MatchConfig  # noqa: E402
from reconflow.nets import devices  # noqa: E402
from reconflow.nets.batches import batch_runner  # noqa: E402
from reconflow.nets.catalogue import weights_named  # noqa: E402
from reconflow.nets.devices import torch_device  # noqa: E402
from reconflow.nets.extraction import extract_many  # noqa: E402
from reconflow.nets.mast3r.encoder import Mast3rEncoder  # noqa: E402
from reconflow.nets.mast3r.matcher import Mast3rMatcher  # noqa: E402
from reconflow.nets.protocols import TileView  # noqa: E402
from reconflow.nets.registry import create_extractor, create_matcher  # noqa: E402
from reconflow.nets.weights import absence  # noqa: E402
from reconflow.pipeline.cluster import open_client, placement  # noqa: E402

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(autouse=True)
def no_other_device(caplog):
    """What memory does not suffice for goes to the CPU, where it would be compared with itself."""
    assert torch_device().type == "cuda"
    yield
    assert not [record for record in caplog.get_records("call") if "on the CPU" in record.getMessage()]


@pytest.fixture
def at_hand():
    """Return a function that skips the test unless weights of these names are on this machine, wherever they lie."""

    def check(*names):
        for name in names:
            if lack := absence(weights_named(name)):
                pytest.skip(lack)

    return check


@pytest.fixture
def on_cpu():
    """Return a function that makes a call on the CPU, whatever there is beside it."""

    def call(made):
        devices._CHOICE.on_cpu = True
        try:
            return made()
        finally:
            devices._CHOICE.on_cpu = False

    return call


@pytest.fixture
def bounded():
    """Little memory for this process, and batches of which nothing is known yet."""
    batch_runner.cache_clear()
    torch.cuda.empty_cache()
    yield lambda gigabytes: torch.cuda.set_per_process_memory_fraction(gigabytes * 2**30 / torch.cuda.mem_get_info()[1])
    torch.cuda.set_per_process_memory_fraction(1.0)
    batch_runner.cache_clear()


def rows(matcher, views, pair=(0, 1), **options):
    ((_, finish),) = matcher.match_tile(views, [pair], config=MatchConfig(**options))
    matches = finish()
    places = [np.round(points.places, 1).tolist() for points in (matches.first, matches.second)]
    own = (matches.indices < [len(views[index].features) for index in pair]).all(axis=1)
    return set(map(tuple, matches.indices[own].tolist())) | set(
        zip(*(map(tuple, side) for side in places), strict=True)
    )


@pytest.fixture
def encoded(texture, warped, twin_weights, make_features):
    """A picture twice, encoded; nothing has keypoints."""

    def views(precision):
        encodings = Mast3rEncoder(file=twin_weights, long_edge_px=128, precision=precision).encode([texture, texture])
        bare = make_features(np.zeros((0, 2)), np.zeros((0, 1), np.float32), image_size=texture.shape[1::-1])
        return [TileView(bare, encoding) for encoding in encodings]

    return views


@pytest.mark.parametrize("name", ["aliked-t16", "aliked-n16rot", "xfeat"])
def test_a_gpu_finds_the_keypoints_that_a_cpu_finds(name, texture, on_cpu, at_hand):
    at_hand(name)
    extractor, config = create_extractor(name), ExtractConfig(extractor=name, max_keypoints=500)
    mine, theirs = extractor.extract(texture, config=config), on_cpu(lambda: extractor.extract(texture, config=config))
    gaps = np.linalg.norm(mine.keypoints[:, None] - theirs.keypoints[None], axis=2).min(axis=1)
    assert (gaps < 0.1).mean() > 0.98


@pytest.mark.parametrize("name", ["aliked-t16", "aliked-n16rot", "xfeat"])
def test_photos_in_a_batch_have_the_keypoints_they_have_alone_however_little_fits(
    name, texture, other_texture, bounded, at_hand
):
    at_hand(name)
    extractor, config = create_extractor(name), ExtractConfig(extractor=name, max_keypoints=500)
    alone = [extractor.extract(image, config=config) for image in (texture, other_texture)] * 64
    bounded(1.0)
    together = extract_many(extractor, [texture, other_texture] * 64, config=config, batch=128)
    for mine, theirs in zip(together, alone, strict=True):
        gaps = np.linalg.norm(mine.keypoints[:, None] - theirs.keypoints[None], axis=2).min(axis=1)
        assert (gaps < 0.1).mean() > 0.98


def test_lighterglue_matches_on_a_gpu_as_on_a_cpu_and_in_less_precision(extracted, on_cpu, at_hand):
    at_hand("xfeat", "lighterglue-xfeat")
    views = [TileView(features) for features in extracted("xfeat")]
    matcher = create_matcher("lighterglue", extractor="xfeat")
    exact = on_cpu(lambda: rows(matcher, views, precision="fp32"))
    assert len(rows(matcher, views, precision="fp32") & exact) >= 0.99 * len(exact)
    assert len(rows(matcher, views, precision="bf16") & exact) >= 0.95 * len(exact)


def test_mast3r_matches_on_a_gpu_as_on_a_cpu_and_in_less_precision(encoded, twin_weights, on_cpu):
    matcher = Mast3rMatcher(30, file=twin_weights, hybrid=False)
    exact = on_cpu(lambda: rows(matcher, encoded("fp32"), precision="fp32"))
    assert len(rows(matcher, encoded("fp32"), precision="fp32") & exact) >= 0.98 * len(exact)
    assert len(rows(matcher, encoded("bf16"), precision="bf16") & exact) >= 0.95 * len(exact)


def test_mast3r_halves_its_batches_where_memory_runs_out(encoded, twin_weights, bounded):
    views = encoded("fp32")
    matcher = Mast3rMatcher(30, file=twin_weights, hybrid=False, batch=4096)
    pairs = [(0, 1)] * 4096
    bounded(1.0)
    found = [finish() for _, finish in matcher.match_tile(views, pairs, config=MatchConfig(precision="fp32"))]
    assert len(found) == len(pairs)
    assert batch_runner(("mast3r", twin_weights, "cuda"), (views[0].encoding.grid,) * 2, 4096).size < 4096


def test_lighterglue_halves_its_batches_where_memory_runs_out(extracted, bounded, at_hand):
    at_hand("xfeat", "lighterglue-xfeat")
    views = [TileView(features) for features in extracted("xfeat")]
    matcher = replace(create_matcher("lighterglue", extractor="xfeat"), batch=2048)
    bounded(1.0)
    found = [finish() for _, finish in matcher.match_tile(views, [(0, 1)] * 2048, config=MatchConfig())]
    assert len(found) == 2048
    assert batch_runner(("lighterglue-xfeat", "cuda"), (1024, 1024), 2048).size < 2048


def test_a_local_cluster_has_a_worker_for_each_gpu():
    pytest.importorskip("dask_cuda")
    with open_client(workers=1) as client:
        where = placement(client)
        assert where.learned == {"GPU": 1}
        assert where.learned_slots == torch.cuda.device_count()
        seen = client.submit(torch.cuda.device_count, resources=where.learned, pure=False).result(timeout=120)
        assert seen >= 1
