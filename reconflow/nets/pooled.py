"""Whole photos described by the tokens of an encoder, pooled and whitened: retrieval without weights of its own.

Jégou and Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and whitening", ECCV 2012.
Tokens of any photo share strong directions that say nothing about the place. Whitening by the covariance of the set's
own tokens evens them out before each token has one vote.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reconflow.core.arrays import Array

_SHRINKAGE = 0.05
"""Share of the mean variance added to every direction: few tokens say little about the weakest ones."""


@dataclass(frozen=True, eq=False)
class WhitenedPool:
    """The mean of a photo's whitened tokens, as a unit vector."""

    mean: Array
    """(C,) float32."""
    whitening: Array
    """(C, C) float32, symmetric."""

    @classmethod
    def trained(cls, sample: Array) -> "WhitenedPool":
        """Return the descriptor whose whitening evens out a (N, C) sample of the set's tokens.

        Raises
        ------
        ValueError
            If the sample is empty.

        """
        if len(sample) == 0:
            raise ValueError("sample must hold at least one token")
        tokens = np.asarray(sample, np.float64)
        mean = tokens.mean(axis=0)
        centred = tokens - mean
        variances, directions = np.linalg.eigh(centred.T @ centred / len(tokens))
        floor = _SHRINKAGE * max(float(variances.mean()), 1e-12)
        scale = 1 / np.sqrt(np.maximum(variances, 0) + floor)
        return cls(mean.astype(np.float32), ((directions * scale) @ directions.T).astype(np.float32))

    def describe(self, local: Array) -> Array:
        """Return the (C,) float32 unit vector of a photo's (N, C) tokens; zeros where it has none."""
        if len(local) == 0:
            return np.zeros_like(self.mean)
        white = (np.asarray(local, np.float32) - self.mean) @ self.whitening
        white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-12)
        pooled = white.mean(axis=0)
        return pooled / max(float(np.linalg.norm(pooled)), 1e-12)


def interleaved(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Return what several rankings name, each once: the first of all of them, then the second of all, and so on.

    >>> interleaved([[1, 2, 3], [3, 4]])
    [1, 3, 2, 4]
    """
    longest = max((len(ranking) for ranking in rankings), default=0)
    turns = (ranking[place] for place in range(longest) for ranking in rankings if place < len(ranking))
    return list(dict.fromkeys(turns))
