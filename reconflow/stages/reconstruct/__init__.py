"""Verified pairs of a scene → COLMAP models."""

from reconflow.stages.reconstruct.mapper import MADE_WITH, Reconstructed, reconstruct
from reconflow.stages.reconstruct.model_files import read_model
from reconflow.stages.reconstruct.views import View, ViewPair

__all__ = ["MADE_WITH", "Reconstructed", "View", "ViewPair", "read_model", "reconstruct"]
