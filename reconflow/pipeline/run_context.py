"""What every task of a run is told."""

import msgspec

from reconflow.config import PipelineConfig, Precision
from reconflow.pipeline.control import RunLine


class RunContext(msgspec.Struct, frozen=True):
    """What every task of a run is given besides its own work."""

    store: str
    config: PipelineConfig
    features: dict[str, str]
    """Namespace of the features of each extractor, in the order in which their keypoints are united."""
    geometries: str
    """Namespace of the run's pairs."""
    line: RunLine
    encoder: str = ""
    """Name of the encoder whose encodings the matcher reads; empty where it reads none."""
    encodings: dict[str, str] = {}
    """Namespace of the encodings by each encoder: the matcher's, and those that rank photos."""
    precision: Precision = "fp32"
    """Of encoders."""
    upright: bool = False
    """Whether a network looks at the photos, which knows only upright ones."""
