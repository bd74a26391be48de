"""Resources as they are registered, and rules over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from fullbore.problems import Severity

Inputs = Mapping[str, Any]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a preview has for a text that only an update will know (pulumi sdk/go, plugin.UnknownStringValue)."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One resource that a program registers. `type` is the engine's token, `inputs` are JSON values by their names."""

    type: str
    name: str
    inputs: Inputs


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One rule: what it says of each resource of its type, in the light of all resources of the stack."""

    id: str
    type: str
    summary: str
    find: Callable[[Inputs, Sequence[Registered]], Iterator[str]]
    """Yields what is wrong: what, got, allowed, what to do."""
    severity: Severity = "error"


def items(value: object) -> Sequence[Any]:
    """A list as it is, nothing as an empty one, and one value as a list of one."""
    if value is None:
        return ()
    return cast("list[Any]", value) if isinstance(value, list) else (value,)


def block(inputs: Inputs, name: str) -> Inputs:
    """A nested block; an empty one where there is none."""
    return cast("Inputs", inputs.get(name) or {})


def is_true(value: object) -> bool:
    """Some properties hold a truth as text."""
    return value is True or value == "true"


def is_unknown(value: object) -> bool:
    return value == UNKNOWN
