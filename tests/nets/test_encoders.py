"""The promises of every encoder of photos: subclass :class:`EncoderContract` for a new one."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reconflow.nets.batches import BatchRunner  # noqa: E402
from reconflow.nets.dinov2 import Dinov2Encoder  # noqa: E402
from reconflow.nets.mast3r.encoder import Mast3rEncoder  # noqa: E402


class EncoderContract:
    """What holds for every image encoder: subclass it and give the ``encoder``."""

    def test_photos_of_all_sizes_fill_their_grids(self, encoder, texture):
        photos = [texture, texture[:, :270], texture[:1, :40], texture[:200, :203]]
        for photo, encoding in zip(photos, encoder.encode(photos), strict=True):
            assert encoding.tokens.dtype == np.float16
            assert len(encoding.tokens) == encoding.grid[0] * encoding.grid[1]
            assert np.isfinite(encoding.tokens).all()
            corners = encoding.frame.to_photo(np.array([[0, 0], encoding.frame.size]))
            assert (corners >= -1e-3).all()
            assert (corners <= np.array(photo.shape[1::-1]) + 1e-3).all()

    def test_a_photo_among_others_is_encoded_as_it_is_alone(self, encoder, texture, other_texture):
        together = encoder.encode([texture, other_texture[:, :270], other_texture])
        for encoding, photo in zip(together, (texture, other_texture[:, :270], other_texture), strict=True):
            (alone,) = encoder.encode([photo])
            np.testing.assert_allclose(encoding.tokens, alone.tokens, atol=5e-3)
            assert encoding.frame == alone.frame
            assert np.array_equal(encoding.colors, alone.colors)

    def test_no_photos_no_encodings(self, encoder):
        assert encoder.encode([]) == []

    def test_different_photos_differ_and_equal_ones_do_not(self, encoder, texture, other_texture):
        one, again, other = (encoder.encode([photo])[0].tokens for photo in (texture, texture.copy(), other_texture))
        assert np.array_equal(one, again)
        assert not np.allclose(one, other, atol=0.1)

    def test_it_survives_pickling(self, encoder, texture):
        again = pickle.loads(pickle.dumps(encoder))
        assert again.made_with == encoder.made_with
        assert np.array_equal(again.encode([texture])[0].tokens, encoder.encode([texture])[0].tokens)


class TestMast3r(EncoderContract):
    @pytest.fixture
    def encoder(self, small_weights):
        return Mast3rEncoder(file=small_weights, long_edge_px=64)

    def test_photos_of_one_grid_are_encoded_together(self, encoder, texture, other_texture, monkeypatch):
        sizes = []
        plain = BatchRunner.map
        monkeypatch.setattr(
            BatchRunner, "map", lambda self, f, items: sizes.append(len(items)) or plain(self, f, items)
        )
        encoder.encode([texture, texture[:, :270], other_texture])
        assert sizes == [2, 1]

    def test_colours_are_those_of_the_photo(self, encoder, texture):
        photo = np.zeros((400, 400, 3), np.uint8)
        photo[:200, :200] = (200, 10, 30)
        (encoding,) = encoder.encode([photo])
        found = encoding.colors_at(np.array([[15.0, 15.0], [50.0, 15.0]]))
        assert found.tolist() == [[200, 10, 30], [0, 0, 0]]


class TestDinov2(EncoderContract):
    @pytest.fixture
    def encoder(self, dinov2_weights):
        return Dinov2Encoder("dinov2-vits14", file=dinov2_weights, long_edge_px=70)

    def test_the_weights_and_what_decides_the_tokens_are_told(self, encoder, dinov2_weights, tmp_path):
        other = tmp_path / "other.pth"
        torch.save(torch.load(dinov2_weights) | {"cls_token": torch.ones(1, 1, 128)}, other)
        told = {encoder.made_with}
        for change in ({"file": other}, {"long_edge_px": 84}, {"precision": "bf16"}):
            told.add(replace(encoder, **change).made_with)
        assert len(told) == 4
