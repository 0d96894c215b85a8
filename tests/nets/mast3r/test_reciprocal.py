import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reconflow.nets.mast3r.reciprocal import nearest_by_dot, reciprocal_matches  # noqa: E402


def descriptors(*shape, seed=0):
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(noise, dim=-1)


def smooth_map(rows, columns, *, cell_px=64, seed=0):
    """(1, H, W, 24) descriptors that change as slowly from pixel to pixel as a network's do."""
    noise = torch.randn(
        1, 24, rows // cell_px + 2, columns // cell_px + 2, generator=torch.Generator().manual_seed(seed)
    )
    drawn = torch.nn.functional.interpolate(noise, size=(rows, columns), mode="bicubic", align_corners=True)
    return torch.nn.functional.normalize(drawn.permute(0, 2, 3, 1), dim=-1)


@pytest.mark.parametrize("max_bytes", [1, 3_000, 2**30])
def test_the_nearest_is_that_of_all_products_whatever_the_blocks(max_bytes):
    queries, targets = descriptors(2, 1100, 8), descriptors(2, 70, 8, seed=1)
    expected = (queries @ targets.transpose(1, 2)).argmax(dim=-1)
    assert torch.equal(nearest_by_dot(queries, targets, max_bytes=max_bytes), expected)


def test_no_table_is_larger_than_allowed(monkeypatch):
    seen = []
    plain = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: seen.append(plain(a, b)) or seen[-1])
    nearest_by_dot(descriptors(2, 1500, 8), descriptors(2, 700, 8, seed=1), max_bytes=100_000)
    assert max(table.nbytes for table in seen) <= 100_000


def test_matches_are_reciprocal():
    first, second = descriptors(1, 40, 56, 6), descriptors(1, 48, 32, 6, seed=1)
    matches = reciprocal_matches(first, second, step=8)[0]
    forth = (first.reshape(-1, 6) @ second.reshape(-1, 6).T).argmax(dim=1)
    back = (second.reshape(-1, 6) @ first.reshape(-1, 6).T).argmax(dim=1)
    x1, y1, x2, y2 = matches.T
    one, two = y1 * 56 + x1, y2 * 32 + x2
    assert len(matches) > 5
    assert torch.equal(forth[one], two)
    assert torch.equal(back[two], one)


def test_each_match_stands_once_and_in_order():
    matches = reciprocal_matches(descriptors(1, 40, 56, 3), descriptors(1, 48, 32, 3, seed=1), step=4)[0].numpy()
    assert len(np.unique(matches, axis=0)) == len(matches)
    places = matches[:, 1] * 56 + matches[:, 0]
    assert (np.diff(places) > 0).all()


def test_a_photo_with_itself_matches_at_every_seed():
    first = descriptors(1, 24, 40, 8)
    matches = reciprocal_matches(first, first, step=8)[0].tolist()
    assert matches == [[x, y, x, y] for y in (4, 12, 20) for x in (4, 12, 20, 28, 36)]


def test_a_batch_gives_what_each_pair_gives_alone():
    first, second = descriptors(3, 40, 56, 6), descriptors(3, 48, 32, 6, seed=1)
    together = reciprocal_matches(first, second, step=8)
    for row, matches in enumerate(together):
        alone = reciprocal_matches(first[row : row + 1], second[row : row + 1], step=8, max_bytes=10_000)[0]
        assert torch.equal(matches, alone)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_matches_are_exact_inside_a_context_of_less_precision(precision):
    first = smooth_map(192, 256)
    second = torch.roll(first, (3, 5), dims=(1, 2))
    exact = reciprocal_matches(first, second, step=8)[0]
    with torch.autocast("cpu", dtype=precision):
        found = reciprocal_matches(first, second, step=8)[0]
    assert torch.equal(found, exact)
    assert len(exact) > 600
