"""From a stack file to a checked, frozen `Environment`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from fullbore.config.errors import ConfigError, problems_of
from fullbore.config.models import Environment
from fullbore.config.yaml_text import read_mapping
from fullbore.problems import Problem

KEY = "fullbore:env"
"""The one key of a stack's configuration that holds an environment."""


def load_file(path: Path, key: str = KEY) -> Environment:
    """The environment in a stack file (`stacks/Pulumi.NAME.yaml`); only `config.KEY` of it is read.

    An encrypted value (`secure: ...`) reads as an unknown secret. Raises ConfigError with every problem found.
    """
    return parse(environment_of(read_mapping(path), key))


def environment_of(document: Mapping[str, object], key: str = KEY) -> Mapping[str, object]:
    """What stands at `config.KEY` of a stack file's top level; raises ConfigError where there is nothing."""
    config = document.get("config")
    value = cast("Mapping[str, object]", config).get(key) if isinstance(config, Mapping) else None
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value)
    got = "missing" if value is None else f"got {type(value).__name__}, allowed a mapping"
    message = f"{got}; put the environment there, as in stacks/Pulumi.local.yaml"
    raise ConfigError([Problem(path=f"config.{key}", severity="error", rule="config-missing-field", message=message)])


def parse(values: Mapping[str, Any]) -> Environment:
    """A mapping as an environment; raises ConfigError with every problem found, sorted by path."""
    try:
        return Environment.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(problems_of(Environment, error.errors(include_url=False))) from error
