"""The matcher ``mnn``: mutual nearest neighbours by similarity, for descriptors that were learned to be compared so."""

from dataclasses import dataclass

import numpy as np

from reconflow.config import MatchConfig
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.nets.nearest import nearest_two, one_to_one


@dataclass(frozen=True)
class MutualMatcher:
    """Mutual nearest neighbours whose unit descriptors are alike enough.

    Parameters
    ----------
    acceptance_inliers : int
        Level of evidence.
    min_similarity : float
        Least dot product where the settings name none: what nearest neighbours in unrelated photos seldom reach.

    """

    acceptance_inliers: int
    min_similarity: float = 0.0
    name: str = "mnn"

    @property
    def made_with(self) -> str:
        """Revision, and the similarity it asks for by itself."""
        return f"mnn 2, {self.min_similarity}"

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return the mutual nearest neighbours that are alike enough."""
        if len(a) == 0 or len(b) == 0:
            return Matches.none()
        nearest = nearest_two(a.descriptors, b.descriptors)
        similarity = 1 - nearest.distance / 2  # of unit vectors
        least = config.min_similarity or self.min_similarity
        rows = np.flatnonzero(nearest.mutual & (similarity >= least))
        rows = rows[np.argsort(-similarity[rows], kind="stable")]
        return one_to_one(a, b, np.column_stack([rows, nearest.index[rows]]))
