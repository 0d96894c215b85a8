"""The matcher ``mnn``: mutual nearest neighbours by similarity, for descriptors that were learned to be compared so."""

from dataclasses import dataclass

import numpy as np

from reconflow.config import MatchConfig
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.nets.nearest import nearest_two, one_to_one


@dataclass(frozen=True)
class MutualMatcher:
    """Mutual nearest neighbours whose unit descriptors have a dot product of at least ``config.min_similarity``."""

    acceptance_inliers: int
    name: str = "mnn"
    made_with: str = "mnn 1"

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return the mutual nearest neighbours that are alike enough."""
        if len(a) == 0 or len(b) == 0:
            return Matches.none()
        nearest = nearest_two(a.descriptors, b.descriptors)
        similarity = 1 - nearest.distance / 2  # of unit vectors
        rows = np.flatnonzero(nearest.mutual & (similarity >= config.min_similarity))
        rows = rows[np.argsort(-similarity[rows], kind="stable")]
        return one_to_one(a, b, np.column_stack([rows, nearest.index[rows]]))
