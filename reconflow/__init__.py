"""reconflow: photos in, posed cameras and point clouds out.

>>> import reconflow as rf
>>> config = rf.load_config(preset="fast")
>>> result = rf.reconstruct("photos/", out="result", config=config)  # doctest: +SKIP
>>> result.clusters[0].cam_from_world["a.jpg"].center_in_world  # doctest: +SKIP

Names are loaded when they are first used: ``import reconflow`` itself loads nothing heavy.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Client": "reconflow.client",
    "Model": "reconflow.core.models",
    "PipelineConfig": "reconflow.config",
    "ReconflowError": "reconflow.errors",
    "RunResult": "reconflow.pipeline.result",
    "evaluate_files": "reconflow.evaluation.files",
    "load_config": "reconflow.config",
    "make_sample": "reconflow.world.photos",
    "match_photos": "reconflow.pipeline.two_photos",
    "open_client": "reconflow.pipeline.cluster",
    "open_features": "reconflow.store.run_folder",
    "open_matches": "reconflow.store.run_folder",
    "open_result": "reconflow.pipeline.result",
    "reconstruct": "reconflow.pipeline.notebook",
}

__all__ = [
    "Client",
    "Model",
    "PipelineConfig",
    "ReconflowError",
    "RunResult",
    "__version__",
    "evaluate_files",
    "load_config",
    "make_sample",
    "match_photos",
    "open_client",
    "open_features",
    "open_matches",
    "open_result",
    "reconstruct",
]

if TYPE_CHECKING:
    from reconflow.client import Client
    from reconflow.config import PipelineConfig, load_config
    from reconflow.core.models import Model
    from reconflow.errors import ReconflowError
    from reconflow.evaluation.files import evaluate_files
    from reconflow.pipeline.cluster import open_client
    from reconflow.pipeline.notebook import reconstruct
    from reconflow.pipeline.result import RunResult, open_result
    from reconflow.pipeline.two_photos import match_photos
    from reconflow.store.run_folder import open_features, open_matches
    from reconflow.world.photos import make_sample


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reconflow' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
