"""Where options come from – files, words of a command line – as nested dictionaries, not yet checked."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconflow.errors import ConfigError


def read_tree(path: Path) -> dict[str, Any]:
    """Return what a TOML or JSON file holds, options by section, or raise :class:`ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not valid {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error
    # A run.toml holds the configuration under [config], beside versions and seeds: it can be used as it is.
    return tree.get("config", tree) if isinstance(tree, dict) else {"": tree}


def parse_override(text: str) -> dict[str, Any]:
    """Return ``section.option=value`` as a file would hold it, or raise :class:`ConfigError`."""
    name, equals, value = text.partition("=")
    section, dot, option = name.strip().partition(".")
    if not (equals and dot and section and option):
        raise ConfigError(f"--set {text}: write it as section.option=value, for example match.ratio=0.8")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = value.strip()
    return {section: {option: parsed}}


def merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Put options into others, by section; the later ones win."""
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            into[name].update(value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def readable(message: str) -> str:
    """Turn msgspec's ``Expected `float`, got `str` - at `$.match.ratio``` into ``match.ratio: expected …``."""
    text, at, path = message.partition(" - at `$.")
    place = path.rstrip("`")
    if " must be " in text:  # a limit of ours: it names the option, msgspec only the section
        return f"{place}.{text}"
    return f"{place}: {text[0].lower()}{text[1:]}".replace("`", "") if at else text
