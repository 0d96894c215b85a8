import zipfile

import msgspec
import numpy as np
import pytest
from PIL import Image

from reconflow.errors import InputError, StoreError
from reconflow.jobs.drift import read_baseline, summarize_photos, write_baseline
from reconflow.stages.drift import check_drift


def write_scene(folder, *, n=6, seed=0, change=lambda pixels: pixels):
    """Photos of blurred noise: each scene has structure of its own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(n):
        coarse = rng.integers(40, 200, (30, 40, 3), np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC))
        Image.fromarray(change(pixels)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def baseline(tmp_path):
    scenes = {f"s{seed}": summarize_photos(write_scene(tmp_path / f"s{seed}", seed=seed)) for seed in range(5)}
    return write_baseline(scenes, tmp_path / "deep" / "baseline.json")


def test_a_baseline_is_read_as_it_was_written(baseline, tmp_path):
    assert read_baseline(tmp_path / "deep" / "baseline.json") == baseline
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["baseline.json"]


@pytest.mark.parametrize(
    ("feature", "change"),
    [
        ("brightness", lambda pixels: pixels // 4),
        ("saturation", lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)),
        ("noise", lambda pixels: pixels ^ np.random.default_rng(1).integers(0, 64, pixels.shape, np.uint8)),
    ],
)
def test_altered_photos_drift_and_unaltered_ones_do_not(baseline, tmp_path, feature, change):
    plain = write_scene(tmp_path / "plain", seed=77)
    assert check_drift(summarize_photos(plain), baseline).severity == "low"
    report = check_drift(summarize_photos(write_scene(tmp_path / "altered", seed=77, change=change)), baseline)
    assert report.severity == "high"
    assert report.checks[feature].drift


def test_a_zip_is_summarized_like_its_folder(tmp_path):
    folder = write_scene(tmp_path / "scene")
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    assert summarize_photos(tmp_path / "scene.zip") == summarize_photos(folder)


def test_no_file_is_no_baseline(tmp_path):
    assert read_baseline(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"schema": 99, "created_at": "", "scenes": {}}', "schema 99"),
        (b'{"schema": 1, "created_at": "", "scenes": {"a": {"n": 3, "quantiles": {}}}}', "lacks brightness"),
    ],
)
def test_a_damaged_or_foreign_baseline_is_refused_with_what_to_do(tmp_path, content, sentence):
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(StoreError, match=sentence) as caught:
        read_baseline(tmp_path / "b.json")
    assert "build it" in caught.value.message


def test_a_scene_without_readable_photos_is_refused(tmp_path, baseline):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"not a photo")
    summary = summarize_photos(tmp_path / "bad")
    before = (tmp_path / "deep" / "baseline.json").read_bytes()
    with pytest.raises(InputError, match="no readable photo"):
        write_baseline({"bad": summary}, tmp_path / "deep" / "baseline.json")
    assert (tmp_path / "deep" / "baseline.json").read_bytes() == before
    assert msgspec.json.decode(before)["schema"] == 1
