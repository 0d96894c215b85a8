"""VLAD: one vector per photo from its local features, with a vocabulary trained on the set itself.

Jégou et al., "Aggregating local descriptors into a compact image representation", CVPR 2010, with the
signed-square-root and per-word normalisation of Arandjelović and Zisserman, "All about VLAD", CVPR 2013. It needs no
download, and it ranks candidates well enough because verification, not retrieval, decides which photos belong
together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from reconflow.core.arrays import Array

_ITERATIONS = 12


@dataclass(frozen=True, eq=False)
class Vlad:
    """VLAD as a global descriptor, its vocabulary trained on a sample of the set's own descriptors."""

    vocabulary: Array
    """(words, D) float32."""

    @classmethod
    def trained(cls, sample: Array, *, words: int, seed: int) -> "Vlad":
        """Return the descriptor for sets like the (N, D) ``sample``."""
        return cls(train_vocabulary(sample, words=words, seed=seed))

    def describe(self, local: Array) -> Array:
        """Return the (words × D,) float32 unit vector of a photo's (N, D) descriptors; zeros where it has none."""
        return vlad(local, vocabulary=self.vocabulary)


def train_vocabulary(descriptors: Array, *, words: int, seed: int) -> Array:
    """Return (words, D) float32 k-means centres of (N, D) descriptors; fewer words where N is smaller."""
    data = np.ascontiguousarray(descriptors, np.float32)
    kmeans = faiss.Kmeans(
        data.shape[1], min(words, max(1, len(data))), niter=_ITERATIONS, seed=seed, min_points_per_centroid=1
    )
    kmeans.train(data)
    return np.asarray(kmeans.centroids, np.float32)


def vlad(descriptors: Array, *, vocabulary: Array) -> Array:
    """Return the (words × D,) float32 unit vector of one photo's (N, D) descriptors; zeros where it has none."""
    words, width = vocabulary.shape
    residuals = np.zeros((words, width), np.float32)
    if len(descriptors):
        data = np.ascontiguousarray(descriptors, np.float32)
        _, nearest = faiss.knn(data, vocabulary, 1)
        word = nearest[:, 0]
        np.add.at(residuals, word, data - vocabulary[word])
    residuals = np.sign(residuals) * np.sqrt(np.abs(residuals))
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-12)
    vector = residuals.ravel()
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def rank_neighbours(vectors: Sequence[Array] | Array, *, count: int) -> list[list[int]]:
    """Return for each (D,) unit vector the indices of its ``count`` nearest others by dot product, best first."""
    matrix = np.ascontiguousarray(np.asarray(vectors, np.float32))
    if len(matrix) < 2 or count < 1:
        return [[] for _ in matrix]
    _, found = faiss.knn(matrix, matrix, min(count + 1, len(matrix)), metric=faiss.METRIC_INNER_PRODUCT)
    return [[int(j) for j in row if j not in (i, -1)][:count] for i, row in enumerate(found)]
