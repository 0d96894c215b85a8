"""What networks and their stand-ins must offer; every implementation passes the contract tests in ``tests/nets``."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from reconflow.config import ExtractConfig, MatchConfig
from reconflow.core.arrays import Array
from reconflow.core.encodings import Encoding
from reconflow.core.features import Features
from reconflow.core.matches import Matches
from reconflow.core.pairs import Pair


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


class BatchExtractor(Extractor, Protocol):
    """An extractor whose network takes several photos at once."""

    def extract_batch(self, images: Sequence[Array], *, config: ExtractConfig) -> list[Features]:
        """Return what ``extract`` does of each of several rasters of one size.

        Raises
        ------
        torch.OutOfMemoryError
            If they do not fit on the device together.

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


class ImageEncoder(Protocol):
    """Turns a photo into what a tile matcher needs of it; picklable, and safe to use from several threads."""

    @property
    def name(self) -> str:
        """The registry's name, such as ``mast3r``."""
        ...

    @property
    def made_with(self) -> str:
        """What besides the photo decides the output, as in :class:`Extractor`."""
        ...

    def encode(self, images: Sequence[Array]) -> list[Encoding]:
        """Return the encodings of (H, W, 3) uint8 RGB rasters of any sizes."""
        ...


@dataclass(frozen=True)
class TileView:
    """A photo of a tile."""

    features: Features
    encoding: Encoding | None = None
    """From the encoder that the matcher names; None where it names none."""


Finish = Callable[[], Matches]
"""What is left to do for a pair once the device is through with it: a call from any thread, which returns its
one-to-one matches. Those of keypoints come first, in the order of the first photo's keypoints."""


class TileMatcher(Protocol):
    """Finds putative matches of many pairs together; picklable, and safe to use from several threads."""

    @property
    def name(self) -> str:
        """The registry's name, such as ``mast3r_hybrid``."""
        ...

    @property
    def made_with(self) -> str:
        """What besides options decides the output, as in :class:`Extractor`."""
        ...

    @property
    def acceptance_inliers(self) -> int:
        """Fewest verified inliers that count as evidence, as in :class:`Matcher`."""
        ...

    @property
    def encoder(self) -> str:
        """Name of the encoder whose encodings the views must have; empty where none is needed."""
        ...

    def match_tile(
        self, views: Sequence[TileView], pairs: Sequence[Pair], *, config: MatchConfig
    ) -> Iterator[tuple[int, Finish]]:
        """Yield each pair's place in ``pairs`` and what finishes it, in whatever order the pairs are made."""
        ...


def takes_batches(extractor: Extractor) -> TypeGuard[BatchExtractor]:
    """Tell whether an extractor's network takes several photos at once."""
    return hasattr(type(extractor), "extract_batch")


def matches_tiles(matcher: Matcher | TileMatcher) -> TypeGuard[TileMatcher]:
    """Tell whether a matcher takes whole tiles."""
    return hasattr(type(matcher), "match_tile")


def matches_pairs(matcher: Matcher | TileMatcher) -> TypeGuard[Matcher]:
    """Tell whether a matcher takes pairs one by one."""
    return not matches_tiles(matcher)


class GlobalDescriptor(Protocol):
    """Describes whole photos of one set by vectors that can be compared; picklable."""

    def describe(self, local: Array) -> Array:
        """Return the (D,) float32 unit vector of a photo from its (N, C) local descriptors or tokens.

        Zeros where it has none. The larger the dot product of two vectors, the more alike two photos look.
        """
        ...
