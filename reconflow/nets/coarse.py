"""The coarse pass: how many of a few keypoints of two photos match, to drop hopeless pairs cheaply."""

from collections.abc import Sequence

import numpy as np

from reconflow.config import MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.pairs import Pair
from reconflow.nets.nearest import nearest_two


def coarse_counts(
    features: Sequence[Features], pairs: Sequence[Pair], *, config: MatchConfig, alike: float = 0.0
) -> list[int]:
    """Count for each pair of indices into ``features`` the mutual nearest neighbours that say something.

    By default the ``coarse_keypoints`` largest keypoints of each photo take part, which are seen from far and near, and
    a neighbour counts that passes ``coarse_ratio``. Where ``alike`` is given, the keypoints with the highest scores
    take part, and a neighbour counts whose descriptor has at least that dot product with the keypoint's own.
    """
    first: dict[int, Array] = {}
    for i in sorted({i for pair in pairs for i in pair}):
        ranks = features[i].scores if alike else features[i].scales
        first[i] = _first(features[i], ranks, config.coarse_keypoints)
    if alike:
        from reconflow.nets.alike import alike_counts

        return alike_counts(first, pairs, least=alike)
    return [_count(first[i], first[j], config.coarse_ratio) for i, j in pairs]


def _first(features: Features, ranks: Array, count: int) -> Array:
    order = np.argsort(-ranks, kind="stable")[:count]
    return features.descriptors[order].astype(np.float32)


def _count(a: Array, b: Array, ratio: float) -> int:
    if len(a) == 0 or len(b) == 0:
        return 0
    nearest = nearest_two(a, b)
    return int((nearest.mutual & (nearest.ratio() <= ratio)).sum())
