"""From a stack file to a checked, frozen `Environment`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from fullbore.config.errors import ConfigError, problems_of
from fullbore.config.find import stack_name
from fullbore.config.models import Environment
from fullbore.config.paths import KEY
from fullbore.config.stack_file import stack_file_problems
from fullbore.config.yaml_text import read_raw, revealed
from fullbore.problems import refusal


def load_file(path: Path, key: str = KEY) -> Environment:
    """The environment in a stack file (`stacks/Pulumi.NAME.yaml`), at its `config.KEY`.

    An encrypted value (`secure: ...`) reads as an unknown secret. Raises ConfigError with every problem found, also
    with those of the file around the environment.
    """
    return load_both(path, key)[0]


def load_both(path: Path, key: str = KEY) -> tuple[Environment, Mapping[object, object]]:
    """The environment, and all of the stack file that it is in, encrypted values as they are. Raises ConfigError."""
    raw = read_raw(path)
    document = revealed(raw)  # first: it bounds what aliases make of the file
    problems = stack_file_problems(raw.content, key, stack_name(path), sealed=not raw.simple)
    try:
        environment = named(parse(environment_of(document, key), path.parent), path)
    except ConfigError as error:
        raise ConfigError(tuple(dict.fromkeys((*problems, *error.problems)))) from error
    if problems:
        raise ConfigError(problems)
    return environment, raw.content


def named(environment: Environment, path: Path) -> Environment:
    """The environment again; raises ConfigError where its name is not the stack file's."""
    stack = stack_name(path)
    if stack is None or stack == environment.name:
        return environment
    message = f"got {environment.name}, but the file is that of the stack {stack}; make them the same"
    raise refusal("name", "environment-name", message)


def environment_of(document: Mapping[str, object], key: str = KEY) -> Mapping[str, object]:
    """What stands at `config.KEY` of a stack file's top level; raises ConfigError where there is nothing."""
    config = document.get("config")
    value = cast("Mapping[str, object]", config).get(key) if isinstance(config, Mapping) else None
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value)
    got = "missing" if value is None else f"got {type(value).__name__}, allowed a mapping"
    message = f"{got}; put the environment there, as in stacks/Pulumi.local.yaml"
    raise refusal(f"config.{key}", "config-missing-field", message)


def parse(values: Mapping[str, Any], folder: Path | None = None) -> Environment:
    """A mapping as an environment; files that it names are relative to `folder`, the stack file's (here if None).

    Raises ConfigError with every problem found, sorted by path.
    """
    try:
        return Environment.model_validate(dict(values), context={"folder": folder or Path()})
    except ValidationError as error:
        raise ConfigError(problems_of(Environment, error.errors(include_url=False))) from error
