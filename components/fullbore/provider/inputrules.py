"""What inputs of a resource may be: rules for one value each, and how a map of them is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from fullbore.provider.base import Failure, Map
from fullbore.provider.values import UNKNOWN, join_path

MAX_HOSTS: Final = 32
"""Machines of one resource: more make one diff unreadable and one run too long."""

_HOST_KEY: Final = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]+={0,2}")
HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Rule = tuple[Callable[[Any], bool], str]
"""(accepts a value, what is allowed)"""

TEXT: Final[Rule] = (lambda v: isinstance(v, str) and v != "", "a text that is not empty")
MAP: Final[Rule] = (lambda v: isinstance(v, dict), "a map")
BOOL: Final[Rule] = (lambda v: isinstance(v, bool), "true or false")
COUNT: Final[Rule] = (lambda v: type(v) is int and v >= 0, "a whole number from 0")
PORT: Final[Rule] = (lambda v: type(v) is int and 1 <= v <= 65535, "a whole number from 1 to 65535")
NAMES: Final[Rule] = (
    lambda v: isinstance(v, list) and all(isinstance(item, str) for item in cast("list[Any]", v)),
    "a list of names",
)
KEY: Final[Rule] = (lambda v: isinstance(v, str) and bool(_HOST_KEY.fullmatch(v)), "'ssh-ed25519 AAAA...'")
HOSTS: Final[Rule] = (
    lambda v: isinstance(v, dict) and 1 <= len(cast("Map", v)) <= MAX_HOSTS,
    f"a map of 1 to {MAX_HOSTS} hosts; split a larger group by rack",
)
TEXTS: Final[Rule] = (
    lambda v: isinstance(v, dict) and all(isinstance(item, str) for item in cast("Map", v).values()),
    "a map of texts",
)
LEVEL: Final[Rule] = (lambda v: type(v) is int and 1 <= v <= 3, "1, 2 or 3")
RATE: Final[Rule] = (lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v >= 0, "a number from 0")
DAYS: Final[Rule] = (lambda v: type(v) is int and 1 <= v <= 365, "a whole number from 1 to 365")
MAPS: Final[Rule] = (
    lambda v: isinstance(v, list) and all(isinstance(item, dict) for item in cast("list[Any]", v)),
    "a list of maps",
)
WORD: Final[Rule] = (lambda v: isinstance(v, str), "a text")


def check_map(prefix: str, values: Map, rules: dict[str, Rule]) -> Iterator[Failure]:
    for key, (accepts, allowed) in rules.items():
        path = join_path(prefix, key)
        value = values.get(key)
        if value is None:
            yield Failure(path, f"is missing; give {allowed}")
        elif not unknown_inside(value) and not accepts(value):
            yield Failure(path, f"got {brief(value)}, but it must be {allowed}")
    for key in values:
        if key not in rules:
            yield Failure(join_path(prefix, key), f"is not known here; allowed are {', '.join(sorted(rules))}")


def unknown_inside(value: Any) -> bool:
    """True where a rule cannot be applied yet: the value, or a direct part of it, is not known."""
    parts: list[Any] = [value]
    if isinstance(value, dict):
        parts = list(cast("Map", value).values())
    elif isinstance(value, list):
        parts = cast("list[Any]", value)
    return any(part is UNKNOWN for part in parts)


def brief(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:59]}…"
