"""The options of a job: what an operator's configuration, a preset and the user's own choices make together."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from reconflow.config import PipelineConfig, config_to_tree, load_config
from reconflow.config_schema import config_schema
from reconflow.errors import ConfigError, StoreError
from reconflow.nets.choice import chosen
from reconflow.nets.methods import why_unusable
from reconflow.nets.registry import combinations
from reconflow.nets.retrievers import retrievers, why_retrieval_unusable
from reconflow.presets import PRESETS

logger = logging.getLogger(__name__)

_OPERATORS = "execution"
"""How work is cut and placed: the section of whoever knows the machines."""


class JobOptions:
    """What jobs may be told, and what they start from.

    Parameters
    ----------
    base : str
        The operator's configuration file; before the first promotion there may be none.

    """

    def __init__(self, base: str):
        self._path = base

    def config(self, options: Mapping[str, Any] | None) -> PipelineConfig:
        """Return the configuration of a job with these options.

        Raises
        ------
        ConfigError
            If an option is unknown, out of range or the operator's, or this machine lacks what a method needs.

        """
        config, base = self._load(options or {}), self._load({})
        if config.execution != base.execution:
            raise ConfigError(f"{_OPERATORS}: how work is cut and placed is the operator's to say, not a job's")
        if config.ingest.max_megapixels > base.ingest.max_megapixels:
            raise ConfigError(f"ingest.max_megapixels must be at most {base.ingest.max_megapixels:g} here")
        reason = _why_unusable(config)
        if reason:
            raise ConfigError(f"{_methods(config)}: {reason}")
        if reason := why_retrieval_unusable(config.shortlist.retrieval):
            raise ConfigError(f"shortlist.retrieval {config.shortlist.retrieval!r}: {reason}")
        return config

    def described(self) -> dict[str, Any]:
        """Return the JSON Schema of the options, the presets, what jobs start from, and what can run here."""
        missing = {name: _why_unusable(self._load({"preset": name})) for name in PRESETS}
        return {
            "schema": _schema(),
            "presets": {name: dict(options) for name, options in PRESETS.items()},
            "presets_missing": {name: reason for name, reason in missing.items() if reason},
            "defaults": config_to_tree(self._load({})),
            "methods": [msgspec.to_builtins(one) for one in combinations()],
            "retrievers": [msgspec.to_builtins(one) for one in retrievers()],
        }

    def _load(self, options: Mapping[str, Any]) -> PipelineConfig:
        given = dict(options)
        preset = given.pop("preset", "default")
        if not isinstance(preset, str):
            raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}")
        return load_config(base=self._base(), preset=preset, options=given)

    def _base(self) -> Path | None:
        path = Path(self._path)
        if not self._path or not path.exists():
            return None
        try:
            load_config(base=path)
        except ConfigError as error:
            logger.error("RECONFLOW_CONFIG: %s", error.message)
            raise StoreError("the service's own configuration is broken: tell the operator") from error
        return path


def _why_unusable(config: PipelineConfig) -> str:
    try:  # what can run on cores can where there are GPUs
        methods = chosen(config.extract.extractor, config.match.matcher, gpus=False)
        return why_unusable(methods.extractors, methods.matchers)
    except ConfigError as error:
        raise ConfigError(f"{_methods(config)}: {error.message}") from error


def _methods(config: PipelineConfig) -> str:
    return f"extract.extractor {config.extract.extractor!r} with match.matcher {config.match.matcher!r}"


def _schema() -> dict[str, Any]:
    """Return the JSON Schema of what a job may be told."""
    schema = config_schema()
    parts = schema["$defs"]
    del parts[PipelineConfig.__name__]["properties"][_OPERATORS]
    del parts[type(PipelineConfig().execution).__name__]
    return schema
