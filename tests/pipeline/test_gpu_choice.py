"""What a run takes on simulated GPUs where nobody names methods; LightGlue has seeded weights, which match nothing."""

import shutil
import tomllib

import pytest

torch = pytest.importorskip("torch")

from distributed import get_task_stream  # noqa: E402
from kornia.feature import LightGlue  # noqa: E402

from reconflow.config import load_config  # noqa: E402
from reconflow.nets.catalogue import weights_named  # noqa: E402
from reconflow.pipeline.cluster import open_client  # noqa: E402
from reconflow.pipeline.events import Notice  # noqa: E402
from reconflow.pipeline.run import run  # noqa: E402
from reconflow.world.photos import make_sample  # noqa: E402


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("photos"), scenes=("courtyard",), photos_per_scene=3, strays=0, size=(320, 240)
    ).images


@pytest.fixture
def shelf(tmp_path, monkeypatch, weights):
    """Where this machine's weights are: those of ALIKED."""
    folder = tmp_path / "weights"
    folder.mkdir()
    aliked = weights_named("aliked-n16rot").files[0].name
    shutil.copy(next(weights.rglob(aliked)), folder / aliked)
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(folder))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path / "cache"))
    return folder


def with_lightglue(shelf):
    torch.manual_seed(3)
    network = LightGlue(None, input_dim=128, n_layers=1, flash=False)
    torch.save(network.state_dict(), shelf / weights_named("lightglue-aliked").files[0].name)


@pytest.fixture
def reconstructed(machine, photos, tmp_path):
    """Return a function that runs on two GPUs: what was told of methods, where tasks ran, their names, the report."""

    def go():
        machine(2, visible="0,1")
        out = tmp_path / "out"
        config = load_config(overrides=["extract.max_keypoints=300", "shortlist.turns=false", "cloud.normals=false"])
        heard = []
        with open_client(workers=1) as client, get_task_stream(client) as stream:
            workers = client.scheduler_info(n_workers=-1)["workers"].items()
            gpus = {address for address, one in workers if "GPU" in one["resources"]}
            run(photos, out, client=client, config=config, on_event=heard.append)
        places = {
            stage: {t["worker"] for t in stream.data if str(t["key"]).startswith(stage)}
            for stage in ("extract", "match")
        }
        told = [event.message for event in heard if isinstance(event, Notice) and " auto: " in event.message]
        settled = tomllib.loads((out / "run.toml").read_text())["config"]
        names = settled["extract"]["extractor"], settled["match"]["matcher"]
        return told, {stage: own <= gpus for stage, own in places.items()}, names, (out / "report.html").read_text()

    return go


@pytest.mark.slow
def test_gpus_with_weights_run_networks_and_the_run_says_so(reconstructed, shelf):
    with_lightglue(shelf)
    told, on_gpus, names, report = reconstructed()
    assert len(told) == 1
    assert "aliked-n16rot+lightglue match photos; workers offer GPUs, and the weights are here" in told[0]
    assert on_gpus == {"extract": True, "match": True}
    assert names == ("aliked-n16rot", "lightglue")
    assert "features and matches: aliked-n16rot+lightglue" in report


@pytest.mark.slow
def test_gpus_without_weights_leave_it_to_the_cores_and_the_run_says_why(reconstructed, shelf):
    told, on_gpus, names, report = reconstructed()
    assert len(told) == 1
    assert "workers offer GPUs, but aliked-n16rot+lightglue cannot run: the weights lightglue-aliked" in told[0]
    assert "`reconflow weights fetch lightglue-aliked` gets it" in told[0]
    assert on_gpus == {"extract": False, "match": False}
    assert names == ("sift", "adalam")
    assert "features and matches: sift+adalam" in report
