"""Verified pairs of a scene → COLMAP models."""

from reconflow.stages.reconstruct.mapper import Reconstructed, reconstruct
from reconflow.stages.reconstruct.model_files import read_model
from reconflow.stages.reconstruct.views import View, ViewPair

__all__ = ["Reconstructed", "View", "ViewPair", "read_model", "reconstruct"]
