import numpy as np

from reconflow.report.match_plot import draw_matches


def drawn(verified):
    images = np.zeros((100, 200, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)
    places = np.array([[20.0, 50.0]]), np.array([[25.0, 25.0]])
    return np.asarray(draw_matches(images, places, np.array([verified]), title="some", height_px=100))


def test_both_photos_stand_side_by_side_below_a_title():
    picture = drawn(verified=True)
    assert picture.shape == (132, 200 + 8 + 100, 3)
    assert (picture[:32] < 128).any()
    assert (picture[40, 202:206] == 255).all()


def test_a_line_joins_the_places_in_both_photos():
    picture = drawn(verified=True).astype(int)
    for x, y in ((20, 32 + 50), (208 + 50, 32 + 50), (110, 82)):
        assert picture[y, x, 1] > 150 > picture[y, x, 0]


def test_what_was_not_verified_is_red():
    picture = drawn(verified=False).astype(int)
    assert picture[82, 110, 0] > 150 > picture[82, 110, 1]


def test_no_matches_are_no_error():
    image = np.zeros((60, 80, 3), np.uint8)
    none = np.zeros((0, 2))
    draw_matches((image, image), (none, none), np.zeros(0, bool), title="none", height_px=60)


def test_of_many_matches_an_even_sample_is_drawn():
    image = np.zeros((1000, 400, 3), np.uint8)
    rows = np.linspace(5, 995, 990)
    places = np.column_stack([np.full(990, 10.0), rows])
    verified = np.arange(990) % 10 > 0
    picture = draw_matches((image, image), (places, places), verified, title="many", height_px=1000)
    column = np.asarray(picture).astype(int)[32:, 200]
    red = (column[:, 0] > 150) & (column[:, 1] < 150)
    assert 0 < red.sum() < 0.2 * (column.max(axis=1) > 150).sum()
