import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reconflow.nets.mast3r.checkpoint import build_mast3r  # noqa: E402
from reconflow.nets.mast3r.reciprocal import reciprocal_matches  # noqa: E402


@pytest.fixture(scope="module")
def authors_small(golden, seeded_state):
    """The network of the golden file."""
    manifest = json.loads((golden / "mast3r_small_manifest.json").read_text())
    # The point heads are two thirds of it, and random numbers take time.
    state = seeded_state({name: shape for name, shape in manifest.items() if ".dpt." not in name})
    return build_mast3r({name: torch.from_numpy(array) for name, array in state.items()}, path=golden)


def grid_of(images):
    return images.shape[-2] // 16, images.shape[-1] // 16


def random_images(*, batch, height, width, seed):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("pair", [0, 1, 2], ids=["equal", "landscape and portrait", "odd"])
def test_it_computes_what_the_authors_network_does(authors_small, golden, pair):
    expected = np.load(golden / "mast3r_small.npz")
    images = [torch.from_numpy(expected[f"{pair}_image{view}"]) for view in (1, 2)]
    with torch.inference_mode():
        tokens = [authors_small.encode(image) for image in images]
        views = authors_small.decode(*tokens, grids=(grid_of(images[0]), grid_of(images[1])))
    for number, view in enumerate(views, start=1):
        np.testing.assert_allclose(view.descriptors, expected[f"{pair}_desc{number}"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(view.confidence, expected[f"{pair}_conf{number}"], atol=1e-5, rtol=1e-6)
    matches = reciprocal_matches(views[0].descriptors, views[1].descriptors, step=8)[0]
    wanted = np.column_stack([expected[f"{pair}_matches{number}_xy"] for number in (1, 2)])
    assert set(map(tuple, matches.tolist())) == set(map(tuple, wanted.tolist()))


def test_a_batch_of_pairs_gives_what_each_pair_gives_alone(small):
    one, two = (random_images(batch=3, height=48, width=64, seed=seed) for seed in (0, 1))
    grids = ((3, 4), (3, 4))
    with torch.inference_mode():
        first, second = small.encode(one), small.encode(two)
        together = small.decode(first, second, grids=grids)
        for row in range(3):
            own = [small.encode(images[row : row + 1]) for images in (one, two)]
            alone = small.decode(*own, grids=grids)
            for a, b in zip(together, alone, strict=True):
                torch.testing.assert_close(a.descriptors[row : row + 1], b.descriptors, atol=1e-5, rtol=0)
                torch.testing.assert_close(a.confidence[row : row + 1], b.confidence, atol=1e-5, rtol=1e-5)


def test_descriptors_are_unit_vectors_and_confidence_is_positive(small):
    images = random_images(batch=1, height=32, width=48, seed=2)
    with torch.inference_mode():
        tokens = small.encode(images)
        for view in small.decode(tokens, tokens, grids=((2, 3), (2, 3))):
            assert view.descriptors.shape == (1, 32, 48, 24)
            torch.testing.assert_close(view.descriptors.norm(dim=-1), torch.ones(1, 32, 48))
            assert (view.confidence > 0).all()


def test_the_order_of_the_two_photos_matters(small):
    one, two = (random_images(batch=1, height=32, width=32, seed=seed) for seed in (4, 5))
    with torch.inference_mode():
        first, second = small.encode(one), small.encode(two)
        forth = small.decode(first, second, grids=((2, 2), (2, 2)))
        back = small.decode(second, first, grids=((2, 2), (2, 2)))
    assert not torch.allclose(forth[0].descriptors, back[1].descriptors, atol=1e-2)


def test_images_that_are_no_multiple_of_a_token_are_refused(small):
    with pytest.raises(ValueError, match="multiples of 16 high and wide, got 40 × 48"):
        small.encode(torch.zeros(1, 3, 40, 48))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_stays_close(small, dtype):
    images = random_images(batch=1, height=48, width=64, seed=6)
    with torch.inference_mode():
        tokens = small.encode(images)
        exact = small.decode(tokens, tokens, grids=((3, 4), (3, 4)))[0]
        with torch.autocast("cpu", dtype=dtype):
            tokens = small.encode(images)
            rough = small.decode(tokens, tokens, grids=((3, 4), (3, 4)))[0]
    assert rough.descriptors.dtype == torch.float32
    assert (exact.descriptors * rough.descriptors).sum(dim=-1).min() > 0.99


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sums_over_the_blocks_are_in_float32_whatever_these_multiply_in(small, dtype):
    sums = []
    blocks = [small.enc_blocks[-1], small.dec_blocks[-1], small.dec_blocks2[-1]]
    hooks = [block.register_forward_hook(lambda _, __, out: sums.append(out.dtype)) for block in blocks]
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype):
        tokens = small.encode(random_images(batch=1, height=32, width=32, seed=6))
        small.decode(tokens, tokens, grids=((2, 2), (2, 2)))
    for hook in hooks:
        hook.remove()
    assert sums == [torch.float32] * 3
