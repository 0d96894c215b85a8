"""Two photos matched by any methods, without a cluster or a store: for trying things out."""

import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from reconflow.config import PipelineConfig
from reconflow.core.arrays import Array
from reconflow.core.cameras import Camera
from reconflow.core.encodings import Encoding
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import Matches, TwoViewGeometry
from reconflow.core.turns import Turn, upright_quarters
from reconflow.core.union import FeatureUnion, unite
from reconflow.errors import InputError
from reconflow.nets.choice import chosen, with_methods
from reconflow.nets.methods import (
    encoder_of,
    extractors_of,
    needs_upright,
    parse_methods,
    split_combination,
    weights_of,
)
from reconflow.nets.protocols import matches_tiles
from reconflow.nets.registry import create_extractor
from reconflow.nets.weights import obtain_weights, refuse_out_of_reach
from reconflow.pipeline.matching import are_among, encoder, match_pair, ready_methods, tile_matches
from reconflow.report.match_plot import draw_matches
from reconflow.stages.cameras import assign_cameras
from reconflow.stages.extract import extract_features
from reconflow.stages.ingest import ingest_image, read_image
from reconflow.stages.turns import QUARTERS

if TYPE_CHECKING:
    from PIL.Image import Image


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoMatch:
    """What two photos have in common by one combination of extractors and matchers."""

    combination: str
    """Such as ``sift+adalam``."""
    images: tuple[Array, Array]
    """Both photos, (H, W, 3) uint8 RGB, as they are in the files."""
    features: tuple[FeatureUnion, FeatureUnion]
    matches: Matches
    geometry: TwoViewGeometry
    reason: str
    """Why this is no evidence of a common scene; empty where it is."""
    extract_s: float
    """Wall seconds for both photos, loading of models included."""
    match_s: float
    """Wall seconds of matching and verifying, loading of models included."""
    turned: int = 0
    """By how many clockwise quarters the second photo was turned until it matched, besides what EXIF says."""

    def __str__(self) -> str:
        verdict = "a common scene" if not self.reason else f"no common scene: {self.reason}"
        counts = " and ".join(str(len(photo.features)) for photo in self.features)
        times = f"features {self.extract_s:.1f} s, matching {self.match_s:.1f} s"
        return (
            f"{self.combination}: {counts} keypoints, {len(self.matches)} putative, "
            f"{len(self.geometry)} verified{self._turn}, {times}; {verdict}"
        )

    @property
    def _turn(self) -> str:
        return f", the second photo turned by {90 * self.turned}°" if self.turned else ""

    def plot(self, *, height_px: int = 480) -> "Image":
        """Return both photos side by side with the verified matches in green and the dropped ones in red.

        Of many matches an even sample is drawn.
        """
        places = self.matches.places(*(photo.features.keypoints for photo in self.features))
        verified = are_among(self.matches.indices, self.geometry.inliers)
        title = f"{self.combination}: {len(self.geometry)} of {len(self.matches)} matches verified{self._turn}"
        return draw_matches(self.images, places, verified, title=title, height_px=height_px)


def match_photos(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    combination: str | None = None,
    *,
    config: PipelineConfig | None = None,
) -> PhotoMatch:
    """Match two photos; with networks, the second in quarter turns too where they do not match upright.

    There is no coarse pass: both photos are matched whatever their strongest keypoints say.

    Parameters
    ----------
    first, second : path
        The photos.
    combination : str, optional
        ``EXTRACTOR+MATCHER``, or several of them separated by commas: their keypoints and matches are put together.
        By default what ``config`` names; where that is ``auto``, what a run without GPUs would take: sift+adalam.
    config : PipelineConfig, optional
        All settings.

    Raises
    ------
    InputError
        If a file is no photo.
    ConfigError
        If the combination is unknown.
    WeightsError
        If its weights are neither here nor to be had.

    """
    config = _settled(config or PipelineConfig(), combination)
    methods = parse_methods(config.extract.extractor, config.match.matcher)
    combination = combination or ",".join(map(str, methods))
    refuse_out_of_reach(needed := weights_of(methods), next_best="`sift+adalam`")
    for weights in needed:
        obtain_weights(weights, tell=logger.warning)
    records, cameras = _ingested((Path(first), Path(second)), config)
    images = read_image(str(first)), read_image(str(second))
    if not needs_upright(methods):
        return _matched(combination, images, (0, 0), cameras, config)
    still, other = (upright_quarters(record.orientation) for record in records)
    best = _matched(combination, images, (still, other), cameras, config)
    for more in QUARTERS if config.shortlist.turns else ():
        if not best.reason:
            break
        tried = replace(_matched(combination, images, (still, (other + more) % 4), cameras, config), turned=more)
        best = max(best, tried, key=lambda found: (not found.reason, len(found.geometry)))
    return best


def _settled(config: PipelineConfig, combination: str | None) -> PipelineConfig:
    """Return the configuration with the methods of a combination, or with its own where it names them."""
    if combination:
        extractors, matchers = split_combination(combination)
    else:
        extractors, matchers, _ = chosen(config.extract.extractor, config.match.matcher, gpus=False)
    return with_methods(config, extractors, matchers)


def _matched(
    combination: str,
    images: tuple[Array, Array],
    quarters: tuple[int, int],
    cameras: tuple[Camera, Camera],
    config: PipelineConfig,
) -> PhotoMatch:
    """Match two photos, each of them turned by so many quarters."""
    methods = parse_methods(config.extract.extractor, config.match.matcher)
    started = time.perf_counter()
    first, second = (
        _extracted(image, extractors_of(methods), config, quarters=by)
        for image, by in zip(images, quarters, strict=True)
    )
    extracted = time.perf_counter()
    ready = ready_methods(config.extract.extractor, config.match.matcher)
    encodings: list[Encoding | None] = [None, None]
    if name := encoder_of(methods):
        turns = [Turn(by, (image.shape[1], image.shape[0])) for image, by in zip(images, quarters, strict=True)]
        upright = [turn.image(image) for turn, image in zip(turns, images, strict=True)]
        made_of = encoder(name, config.match.precision).encode(upright)
        encodings = [one.of_turned(turn) for one, turn in zip(made_of, turns, strict=True)]
    made = {
        number: finish()
        for number, one in enumerate(ready)
        if matches_tiles(one.matcher)
        for _, finish in tile_matches(one, (first, second), encodings, [(0, 1)], config=config.match)
    }
    matches, geometry, reason = match_pair(
        first, second, cameras=cameras, ready=ready, hopeless=[""] * len(ready), config=config, made=made
    )
    ended = time.perf_counter()
    times = extracted - started, ended - extracted
    return PhotoMatch(combination, images, (first, second), matches, geometry, reason, *times)


def _ingested(
    paths: tuple[Path, Path], config: PipelineConfig
) -> tuple[tuple[ImageRecord, ...], tuple[Camera, Camera]]:
    records: list[ImageRecord] = []
    for number, path in enumerate(paths):
        if not path.is_file():
            raise InputError(f"{path} is a folder: name two photos" if path.is_dir() else f"{path} does not exist")
        record = ingest_image(f"{number} {path.name}", path, config=config.ingest)
        if isinstance(record, Unreadable):
            raise InputError(f"{path} {record.reason}")
        records.append(record)
    rig = assign_cameras(records, config=config.ingest)
    return tuple(records), (rig.camera(records[0].name), rig.camera(records[1].name))


def _extracted(image: Array, names: tuple[str, ...], config: PipelineConfig, *, quarters: int) -> FeatureUnion:
    parts = [
        extract_features(
            image,
            config=msgspec.structs.replace(config.extract, extractor=name),
            extractor=create_extractor(name),
            quarters=quarters,
        )
        for name in names
    ]
    return unite(parts)
