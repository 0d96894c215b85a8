"""One frozen struct per stage, and :class:`PipelineConfig` that holds them all.

The command line, TOML and JSON files, the REST ``options`` field and Python all fill the same structs. Presets are
differences from the defaults, so there is one place to read what a run does.

>>> config = load_config(preset="fast", overrides=["match.ratio=0.75"])
>>> config.match.ratio, config.extract.max_keypoints
(0.75, 2048)
>>> load_config(overrides=["match.ration=0.75"])
Traceback (most recent call last):
    ...
reconflow.errors.ConfigError: match.ration: unknown option; did you mean match.ratio?
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from reconflow.config_source import merge, parse_override, read_tree, readable
from reconflow.errors import ConfigError
from reconflow.presets import PRESETS

Precision = Literal["auto", "fp32", "bf16", "fp16"]


MOST_MEGAPIXELS = 4000.0
"""Larger photos are never decoded, whatever the settings say."""
_LARGEST_SEED, _MOST_PHOTOS = 2**31 - 1, 100_000


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen group of options that checks its limits when it is made."""

    def _require(self, name: str, *, low: float | None = None, high: float | None = None) -> None:
        value = getattr(self, name)
        if not ((low is None or value >= low) and (high is None or value <= high)):  # so that no NaN passes
            span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
            raise ValueError(f"{name} must be {span}, got {value}")


class IngestConfig(_Section, frozen=True):
    """What is read off a photo before any feature is.

    ``camera_sharing`` says which photos share intrinsics: ``auto`` groups equal make, model, lens, size and focal
    length (photos without such EXIF data stay alone), the others are what they say.
    """

    camera_sharing: Literal["auto", "per_image", "per_folder", "single"] = "auto"
    camera_model: Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"] = (
        "SIMPLE_RADIAL"
    )
    default_focal_factor: float = 1.2
    max_megapixels: float = 400.0

    def __post_init__(self) -> None:
        self._require("default_focal_factor", low=0.1, high=20)
        self._require("max_megapixels", low=0.01, high=MOST_MEGAPIXELS)


class ExtractConfig(_Section, frozen=True):
    """Local features: which extractor, how many keypoints, at what size.

    ``extractor`` may name several, separated by commas: their keypoints are put together, and what each option says
    holds for each of them. ``auto`` is settled with the matcher when a run starts: aliked-n16rot and lightglue where
    workers offer GPUs and the weights are here, else sift and adalam. Where one of both is named, the other suits it.

    Photos whose long edge is larger than ``long_edge_px`` are reduced to it for detection. Networks see smaller ones
    enlarged, at most ``enlarge`` times, since they find places no more exactly than their maps have cells; SIFT doubles
    each photo itself. Keypoints are always given in the pixels of the photo.
    """

    extractor: str = "auto"
    max_keypoints: int = 3072
    long_edge_px: int = 1280
    enlarge: float = 2.0
    contrast_threshold: float = 0.01
    edge_threshold: float = 10.0

    def __post_init__(self) -> None:
        self._require("max_keypoints", low=16, high=200_000)
        self._require("long_edge_px", low=64, high=20_000)
        self._require("enlarge", low=1, high=4)
        self._require("contrast_threshold", low=0, high=1)
        self._require("edge_threshold", low=1, high=1000)


class ShortlistConfig(_Section, frozen=True):
    """Which pairs are tried: all of them up to a size, above it the union of appearance, shooting order and position.

    ``retrieval`` names who ranks photos by appearance, several separated by commas: ``vlad`` by the features of the
    run, ``dinov2-vits14``, ``-vitb14``, ``-vitl14`` and ``mast3r`` by what these networks see. Encodings that a matcher
    reads have a vote in any case.

    With ``turns`` and a learned extractor or matcher, groups of photos that do not match are tried again in quarter
    turns: networks know only photos that stand upright. SIFT matches photos as they lie.
    """

    exhaustive_up_to: int = 200
    retrieval: str = "vlad"
    retrieval_neighbours: int = 40
    sequence_neighbours: int = 5
    gps_neighbours: int = 12
    partners_floor: int = 20
    partners_cap: int = 80
    vlad_words: int = 32
    turns: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        self._require("exhaustive_up_to", low=0, high=2000)
        for name in ("retrieval_neighbours", "sequence_neighbours", "gps_neighbours", "partners_floor"):
            self._require(name, low=0, high=1000)
        self._require("partners_cap", low=1, high=1000)
        self._require("vlad_words", low=2, high=1024)
        self._require("seed", low=0, high=_LARGEST_SEED)
        if self.partners_floor > self.partners_cap:
            raise ValueError(f"partners_floor ({self.partners_floor}) must not exceed partners_cap")


class MatchConfig(_Section, frozen=True):
    """Putative matches of a pair.

    ``matcher`` names one for each extractor, in order, or one for all; ``auto`` is what suits them. ``ratio`` is of
    ``adalam`` and ``ratio``, ``min_similarity`` of ``mnn``: the least dot product of two unit descriptors, where 0
    stands for the extractor's own, which unrelated photos seldom reach. The coarse pass matches only the
    ``coarse_keypoints`` largest keypoints of both images (those a network is surest of) and drops the pair when fewer
    than ``coarse_min_matches`` survive mutual nearest neighbours and ``coarse_ratio`` (the network's own similarity); 0
    keypoints turn it off.

    MASt3R starts from every ``seed_step``-th pixel of its raster, whose long edge is 512. Its hybrid joins keypoints
    whose way to the other photo and back misses by at most ``return_px`` of these pixels. ``precision`` is that of a
    network's matrix products; ``auto`` is bf16 where workers offer GPUs, fp16 where one of these has no
    bfloat16, and fp32 elsewhere.
    """

    matcher: str = "auto"
    ratio: float = 0.8
    min_similarity: float = 0.0
    coarse_keypoints: int = 1024
    coarse_ratio: float = 0.7
    coarse_min_matches: int = 3
    seed_step: int = 8
    return_px: float = 3.0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        self._require("ratio", low=0.1, high=1.0)
        self._require("min_similarity", low=-1.0, high=1.0)
        self._require("coarse_keypoints", low=0, high=200_000)
        self._require("coarse_ratio", low=0.1, high=1.0)
        self._require("coarse_min_matches", low=0, high=200_000)
        self._require("seed_step", low=1, high=64)
        self._require("return_px", low=0.5, high=32)


class VerifyConfig(_Section, frozen=True):
    """Two-view geometry by RANSAC, and the number of inliers that counts as evidence.

    ``min_inliers = 0`` takes the matcher's own acceptance level, measured on pairs of unrelated photos. Places that
    MASt3R finds lie on whole pixels of its raster: they may miss by two of those where that is more than
    ``max_error_px``.
    """

    max_error_px: float = 4.0
    confidence: float = 0.999
    max_trials: int = 10_000
    min_inliers: int = 0
    min_inlier_ratio: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        self._require("max_error_px", low=0.1, high=1000)
        self._require("confidence", low=0.5, high=0.9999999)
        self._require("max_trials", low=10, high=100_000)
        self._require("min_inliers", low=0, high=200_000)
        self._require("min_inlier_ratio", low=0.0, high=1.0)
        self._require("seed", low=0, high=_LARGEST_SEED)


class SplitConfig(_Section, frozen=True):
    """View graph → scenes: components, cut where a few weak pairs hold two strong groups together."""

    min_scene_images: int = 3
    cut_weak_bridges: bool = True
    bridge_inliers: int = 40

    def __post_init__(self) -> None:
        self._require("min_scene_images", low=2, high=_MOST_PHOTOS)
        self._require("bridge_inliers", low=0, high=200_000)


class ReconstructConfig(_Section, frozen=True):
    """COLMAP mapping of one scene.

    ``final_refinement`` adjusts each model once more to convergence. Photos without EXIF data that agree on a focal
    length then share intrinsics, and ``refine_principal_point`` moves the principal points of cameras that took
    several photos. Points seen by fewer than ``min_track_length`` photos are dropped. Points that a dense matcher
    brings along are merged on a grid of ``point_cells`` cells along a photo's long edge, so that pairs share them.
    """

    mapper: Literal["incremental", "global"] = "incremental"
    min_model_images: int = 3
    max_models: int = 20
    init_min_inliers: int = 50
    abs_pose_min_inliers: int = 15
    min_track_length: int = 2
    point_cells: int = 128
    refine_principal_point: bool = True
    final_refinement: bool = True
    threads: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self._require("min_model_images", low=2, high=_MOST_PHOTOS)
        self._require("max_models", low=1, high=200)
        self._require("init_min_inliers", low=6, high=200_000)
        self._require("abs_pose_min_inliers", low=6, high=200_000)
        self._require("min_track_length", low=2, high=_MOST_PHOTOS)
        self._require("point_cells", low=8, high=10_000)
        self._require("threads", low=0, high=1024)
        self._require("seed", low=0, high=_LARGEST_SEED)


class CloudConfig(_Section, frozen=True):
    """Cleaning and thinning of a sparse point cloud."""

    outlier_neighbours: int = 20
    outlier_std_ratio: float = 2.0
    max_points: int = 500_000
    min_observations: int = 3
    normals: bool = True

    def __post_init__(self) -> None:
        self._require("outlier_neighbours", low=1, high=1000)
        self._require("outlier_std_ratio", low=0.1, high=1000)
        self._require("max_points", low=1, high=100_000_000)
        self._require("min_observations", low=2, high=_MOST_PHOTOS)


class ExecutionConfig(_Section, frozen=True):
    """How work is cut and placed. Nothing in here changes a result, so nothing in here is part of a cache key.

    ``feature_cache_mb`` is what each worker keeps of the features and encodings it read: tiles share photos.
    ``gpu_memory_fraction`` bounds what one process takes of its GPU's memory: batches shrink until they fit.
    ``threads_beside_gpu`` is how many photos a worker that has a GPU reads, and pairs it verifies, at once while the
    GPU works on others; 0 takes the GPU's share of the machine's cores.
    """

    images_per_extract_task: int = 8
    images_per_tile: int = 12
    feature_cache_mb: int = 256
    gpu_memory_fraction: float = 0.9
    threads_beside_gpu: int = 0

    def __post_init__(self) -> None:
        self._require("images_per_extract_task", low=1)
        self._require("images_per_tile", low=1)
        self._require("feature_cache_mb", low=0)
        self._require("threads_beside_gpu", low=0, high=256)
        self._require("gpu_memory_fraction", low=0.01, high=1)


class PipelineConfig(_Section, frozen=True):
    """Everything a run can be told."""

    ingest: IngestConfig = IngestConfig()
    extract: ExtractConfig = ExtractConfig()
    shortlist: ShortlistConfig = ShortlistConfig()
    match: MatchConfig = MatchConfig()
    verify: VerifyConfig = VerifyConfig()
    split: SplitConfig = SplitConfig()
    reconstruct: ReconstructConfig = ReconstructConfig()
    cloud: CloudConfig = CloudConfig()
    execution: ExecutionConfig = ExecutionConfig()


def load_config(
    path: str | Path | None = None,
    *,
    base: str | Path | None = None,
    preset: str = "default",
    options: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> PipelineConfig:
    """Return the configuration of a run.

    What comes later wins: defaults, ``base``, preset, file, ``options``, ``section.option=value``.

    Parameters
    ----------
    path : path, optional
        A TOML or JSON file with one table per section.
    base : path, optional
        Such a file that presets start from, in place of the defaults.
    preset : {"fast", "default", "detailed", "best"}
        Where to start from.
    options : mapping, optional
        Options by section, as a file would hold them.
    overrides : sequence of str
        ``"match.ratio=0.8"``; values are read as JSON, and as plain text where that fails.

    Raises
    ------
    ConfigError
        Names the option by its path and says what is wrong with it.

    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
    tree: dict[str, Any] = {}
    if base is not None:
        merge(tree, read_tree(Path(base)))
    merge(tree, PRESETS[preset])
    if path is not None:
        merge(tree, read_tree(Path(path)))
    _check_names(options or {})
    merge(tree, options or {})
    for text in overrides:
        merge(tree, parse_override(text))
    return config_from_tree(tree)


def config_from_tree(tree: Mapping[str, Any]) -> PipelineConfig:
    """Return the struct for nested dictionaries, or raise :class:`ConfigError` naming the offending option."""
    _check_names(tree)
    try:
        return msgspec.convert(tree, PipelineConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(readable(str(error))) from error


def config_to_tree(config: PipelineConfig) -> dict[str, Any]:
    """Return nested dictionaries of plain values, ready for TOML or JSON."""
    return msgspec.to_builtins(config)


def config_differences(config: PipelineConfig, other: PipelineConfig | None = None) -> dict[str, Any]:
    """Return what differs from another configuration or from the defaults, as nested dictionaries.

    What differs from the defaults is what a file that others build on should hold.

    >>> config_differences(load_config(overrides=["match.ratio=0.75"]))
    {'match': {'ratio': 0.75}}
    """
    others = config_to_tree(other or PipelineConfig())
    sections = {
        section: {name: value for name, value in options.items() if value != others[section][name]}
        for section, options in config_to_tree(config).items()
    }
    return {section: options for section, options in sections.items() if options}


def _check_names(tree: Mapping[str, Any]) -> None:
    known = {section.name: section.type for section in msgspec.structs.fields(PipelineConfig)}
    for section, options in tree.items():
        if section not in known:
            raise ConfigError(f"{section}: unknown section{_suggest(section, list(known))}")
        if not isinstance(options, Mapping):
            raise ConfigError(f"{section}: expected a table of options, got {options!r}")
        names = [field.name for field in msgspec.structs.fields(known[section])]
        for option in options:
            if option not in names:
                near = _suggest(option, names, prefix=f"{section}.")
                raise ConfigError(f"{section}.{option}: unknown option{near}")


def _suggest(name: str, known: Sequence[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(known)}"
