import numpy as np
import pytest
from PIL import Image

from reconflow.cli.main import main
from reconflow.world.photos import make_sample


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two photos of one scene, and one of another."""
    sample = make_sample(
        tmp_path_factory.mktemp("match"), scenes=("courtyard", "temple"), photos_per_scene=3, strays=0, size=(480, 360)
    )
    by_scene = {}
    for row in sample.rows:
        by_scene.setdefault(row.scene, []).append(str(sample.images / row.image))
    return [*by_scene["courtyard"][:2], by_scene["temple"][0]]


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("RECONFLOW_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("RECONFLOW_CACHE", str(tmp_path))
    monkeypatch.setenv("RECONFLOW_OFFLINE", "1")


def test_two_photos_of_a_scene_are_matched_and_drawn(photos, tmp_path, capsys):
    picture = tmp_path / "matches.png"
    assert main(["match", *photos[:2], "--plot", str(picture)]) == 0
    said = capsys.readouterr().out
    for word in ("sift+adalam", "keypoints", "putative", "verified", "a common scene"):
        assert word in said
    pixels = np.asarray(Image.open(picture)).astype(int)
    assert ((pixels[..., 1] > 180) & (pixels[..., 0] < 120)).sum() > 100  # green lines


def test_photos_of_different_scenes_are_told_apart(photos, capsys):
    assert main(["match", photos[0], photos[2]]) == 1
    assert "no common scene" in capsys.readouterr().out


def test_combinations_are_put_together(photos, capsys, weights):
    assert main(["match", *photos[:2], "--with", "sift+adalam,aliked-t16+mnn"]) == 0
    assert "sift+adalam,aliked-t16+mnn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "methods"),
    [
        ([], "sift+adalam"),
        (["--preset", "fast"], "sift+adalam"),
        (["--set", "extract.extractor=sift", "--set", "match.matcher=ratio"], "sift+ratio"),
        (["--set", "match.matcher=ratio"], "sift+ratio"),
        (
            ["--preset", "fast", "--set", "extract.extractor=sift,aliked-t16", "--set", "match.matcher=adalam,mnn"],
            "sift+adalam,aliked-t16+mnn",
        ),
    ],
)
def test_without_a_combination_settings_say_which(options, methods, photos, capsys, weights):
    assert main(["match", *photos[:2], *options]) == 0
    assert capsys.readouterr().out.startswith(f"{methods}: ")


def test_a_preset_without_its_weights_is_not_another_one(photos, capsys, no_weights):
    assert main(["match", *photos[:2], "--preset", "best"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    for name in ("aliked-n16rot", "superpoint", "mast3r"):
        assert f"the weights {name} are not here" in said
    assert "`sift+adalam` is the next best" in said


@pytest.mark.parametrize("name", ["matches.txt", "matches", "none/matches.png"])
def test_a_picture_that_cannot_be_written_is_told_before_any_work(name, photos, tmp_path, capsys):
    assert main(["match", *photos[:2], "--plot", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert str(tmp_path / name) in said.err
    assert "verified" not in said.out


def test_a_combination_without_weights_is_one_helpful_sentence(photos, capsys, tmp_path, no_weights):
    assert main(["match", *photos[:2], "--with", "aliked-n16+mnn"]) == 2
    said = capsys.readouterr().err
    for part in ("aliked-n16.pth", "https://github.com/Shiaoming/ALIKED", str(tmp_path)):
        assert part in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one.jpg"], "takes two photos"),
        (["one.jpg", "two.jpg"], "does not exist"),
        (["one.jpg", "two.jpg", "--with", "sift"], "EXTRACTOR+MATCHER"),
        (["one.jpg", "two.jpg", "--with", "sift+magic"], "unknown matcher 'magic'"),
    ],
)
def test_bad_input_is_told(arguments, words, capsys):
    assert main(["match", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_is_told_as_one(photos, tmp_path, capsys):
    assert main(["match", photos[0], str(tmp_path)]) == 2
    assert "is a folder: name two photos" in capsys.readouterr().err


def test_what_is_no_photo_is_told(photos, tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    assert main(["match", photos[0], str(tmp_path / "a.jpg")]) == 2


def test_the_list_says_what_can_run_here_and_once_how_to_get_what_is_missing(capsys, no_weights):
    assert main(["match", "--list"]) == 0
    said = capsys.readouterr().out
    assert "lacks superpoint, mast3r" in said
    assert said.count("the weights mast3r are not here") == 1
    assert "sift+adalam" in said
    assert "aliked-n16+lightglue" in said
