"""The options of a run as JSON Schema, with the limits that each struct checks when it is made."""

from collections.abc import Mapping
from typing import Any

import msgspec

from reconflow.config import PipelineConfig


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of :class:`PipelineConfig`.

    >>> config_schema()["$defs"]["MatchConfig"]["properties"]["ratio"]
    {'type': 'number', 'default': 0.8, 'minimum': 0.1, 'maximum': 1.0}
    """
    schema = msgspec.json.schema(PipelineConfig)
    for field in msgspec.structs.fields(PipelineConfig):
        asked = _Limits(field.default)
        field.type.__post_init__(asked)
        properties = schema["$defs"][field.type.__name__]["properties"]
        for name, limits in asked.found.items():
            properties[name] |= limits
    return schema


class _Limits:
    """Stands for a section while it checks itself, and notes what it asks of each option."""

    def __init__(self, section: Any):
        self._section = section
        self.found: dict[str, Mapping[str, float]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._section, name)

    def _require(self, name: str, *, low: float | None = None, high: float | None = None) -> None:
        limits = {"minimum": low, "maximum": high}
        self.found[name] = {key: limit for key, limit in limits.items() if limit is not None}
