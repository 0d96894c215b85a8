"""What an extractor and a matcher must offer; every implementation passes the contract tests in ``tests/nets``."""

from typing import Protocol

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.features import Features
from reconflow.core.matches import Matches


class Extractor(Protocol):
    """Finds and describes keypoints in a photo; picklable, and safe to use from several threads."""

    @property
    def name(self) -> str:
        """The registry's name, such as ``sift``."""
        ...

    @property
    def made_with(self) -> str:
        """What besides options decides the output: revision of the code, library version, hash of the weights.

        Part of every cache key, so it has to change whenever equal input may give other output.
        """
        ...

    def extract(self, image: Array, *, config: ExtractConfig) -> Features:
        """Return the keypoints of ``image``, an (H, W, 3) uint8 RGB raster, in that raster's pixels.

        At most ``config.max_keypoints``, the strongest first. A photo without texture has none; that is no error.
        """
        ...


class Matcher(Protocol):
    """Finds putative matches between two feature sets; picklable, and safe to use from several threads."""

    @property
    def name(self) -> str:
        """The registry's name, such as ``adalam``."""
        ...

    @property
    def made_with(self) -> str:
        """What besides options decides the output, as in :class:`Extractor`."""
        ...

    @property
    def acceptance_inliers(self) -> int:
        """Fewest verified inliers that count as evidence: above what unrelated photos reach by chance."""
        ...

    def match(self, a: Features, b: Features, *, config: MatchConfig) -> Matches:
        """Return one-to-one putative matches between ``a`` and ``b``, in the order of ``a``'s keypoints."""
        ...
