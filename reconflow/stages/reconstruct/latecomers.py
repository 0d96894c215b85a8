"""Photos that found no place while a model grew, tried again now that it is whole.

COLMAP gives a photo three tries, early on, when few of its matches are points yet. On the finished model its matches
with placed photos are triangulated together with its pose where they are no points (structure-less resection:
Zheng and Wu, "Structure from Motion Using Structure-less Resection", ICCV 2015).
"""

from collections.abc import Sequence
from pathlib import Path

import pycolmap

_REFINEMENTS = 2
_LARGEST_CHANGE = 1e-3
"""Share of observations that may still change when refining ends."""


def place_latecomers(
    models: Sequence[pycolmap.Reconstruction],
    unplaced: Sequence[int],
    *,
    database: Path,
    options: pycolmap.IncrementalPipelineOptions,
) -> list[int]:
    """Place photos in the first of the models that takes them, under the mapping's own limits.

    A model that takes none is left as it is.

    Parameters
    ----------
    models : sequence of Reconstruction
        Made from the database; changed in place.
    unplaced : sequence of int
        Image ids that no model has.
    database : Path
        The scene's keypoints and verified pairs.
    options : IncrementalPipelineOptions
        As the models were made with.

    Returns
    -------
    list of int
        The image ids that found a place.

    """
    if not models or not unplaced:
        return []
    taken = pycolmap.DatabaseCacheOptions()
    taken.min_num_matches = options.min_num_matches
    with pycolmap.Database.open(str(database)) as opened:
        cache = pycolmap.DatabaseCache.create(opened, taken)
    left = sorted(unplaced)
    for model in models:
        mapper = pycolmap.IncrementalMapper(cache)
        mapper.begin_reconstruction(model)
        matched = [number for number in left if model.exists_image(number)]  # COLMAP leaves out what matches nothing
        if _place(mapper, matched, options):
            mapper.iterative_global_refinement(
                _REFINEMENTS,
                _LARGEST_CHANGE,
                options.mapper,
                options.get_global_bundle_adjustment(),
                options.triangulation,
            )
        mapper.end_reconstruction(False)
        in_model = set(model.reg_image_ids())
        left = [number for number in left if number not in in_model]
    return [number for number in sorted(unplaced) if number not in left]


def _place(
    mapper: pycolmap.IncrementalMapper, numbers: Sequence[int], options: pycolmap.IncrementalPipelineOptions
) -> list[int]:
    """Place what can be placed; each photo that is may help another one."""
    placed: list[int] = []
    found = True
    while found:
        found = False
        for number in numbers:
            if number not in placed and _register(mapper, number, options.mapper):
                mapper.triangulate_image(options.triangulation, number)
                placed.append(number)
                found = True
    return placed


def _register(mapper: pycolmap.IncrementalMapper, number: int, options: pycolmap.IncrementalMapperOptions) -> bool:
    return mapper.register_next_image(options, number) or mapper.register_next_structure_less_image(options, number)
