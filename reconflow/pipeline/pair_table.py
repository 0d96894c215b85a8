"""What became of every pair a run asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconflow.core.matches import PairSummary
from reconflow.core.pairs import Pair
from reconflow.pipeline.work_items import TileImage
from reconflow.store.geometries import StoredPair, incomplete_key, pair_key
from reconflow.store.packs import ItemRef


@dataclass
class PairTable:
    """The pairs of a run and, as matching goes on, where each of them is stored or why it failed."""

    pairs: Sequence[Pair]
    images: Sequence[TileImage]
    keys: Sequence[str]
    """View key of each image."""
    stored: dict[str, StoredPair]
    failed: dict[str, str] = field(default_factory=dict[str, str])
    asked: int = 0
    """Features and encodings that tiles asked for."""
    read: int = 0
    """How many of them came from the store; the others were at hand."""

    def key(self, pair: Pair) -> str:
        """Return a pair's key in the store."""
        return pair_key(self.keys[pair[0]], self.keys[pair[1]])

    def count_stored(self) -> int:
        """Return how many of the pairs are stored."""
        return sum(self.key(pair) in self.stored for pair in self.pairs)

    def summaries(self) -> list[PairSummary]:
        """Return what each pair came to, in order."""
        return [self._summary(pair) for pair in self.pairs]

    def verified(self) -> list[tuple[str, str, ItemRef, str]]:
        """Return both names, the place and the key of every verified pair, in order.

        The key tells whether all methods had their say: models are kept by it.
        """
        found: list[tuple[str, str, ItemRef, str]] = []
        for pair in self.pairs:
            key = self.key(pair)
            stored = self.stored.get(key)
            if stored is not None and stored.verified:
                names = self.images[pair[0]].name, self.images[pair[1]].name
                found.append((*names, stored.ref, key if stored.complete else incomplete_key(key)))
        return found

    def _summary(self, pair: Pair) -> PairSummary:
        first, second = self.images[pair[0]].name, self.images[pair[1]].name
        key = self.key(pair)
        found = self.stored.get(key)
        if found is not None:
            return found.summary(first, second)
        return PairSummary(
            first=first,
            second=second,
            putative=0,
            inliers=0,
            configuration="UNDEFINED",
            verified=False,
            reason=self.failed.get(key, "not matched"),
        )
