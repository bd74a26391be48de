"""Inputs against the installed SDK's classes: every unknown, missing or wrongly typed property, with its path."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fullbore.provider.values import UNKNOWN, Secret, join_path
from fullbore_sandbox.plugins.kubernetes import sdk

Fault = tuple[str, str]
"""(property path, reason)"""

_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "any": lambda value: True,
}


def faults(value: Any, of: sdk.Type, path: str = "") -> Iterator[Fault]:
    """Everything wrong with a value, in order. An unknown value is right anywhere; None is an unset property."""
    if isinstance(value, Secret):
        value = value.value
    if value is UNKNOWN:
        return
    match of:
        case sdk.Object():
            yield from _object(value, of, path)
        case sdk.ListOf(item):
            yield from _list(value, item, path)
        case sdk.MapOf(item):
            yield from _map(value, item, path)
        case sdk.OneOf(choices):
            yield from _one_of(value, choices, path)
        case sdk.Literals(values):
            if value not in values:
                yield path, f"got {shown(value)}, allowed: {', '.join(map(shown, values))}"
        case sdk.Scalar(name):
            if not _IS[name](value):
                yield path, _wrong(value, name)


def unknown_property(name: str, allowed: Iterator[str] | list[str] | Mapping[str, object]) -> str:
    """The reason for a name that is not in the list, with what was probably meant."""
    names = list(allowed)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}" if near else ""
    return f"unknown property, allowed: {', '.join(sorted(names))}{hint}"


def shown(value: Any) -> str:
    """A value in a message: its type for containers, its text for scalars."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, str) else str(value)


def _wrong(value: Any, wanted: str) -> str:
    # A value is named by its type alone: it may be a secret.
    kinds = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", type(None): "null"}
    got = kinds.get(type(value)) or shown(value)
    article = "an" if wanted[0] in "aeiou" else "a"
    return f"got {got}, allowed: {article} {wanted}"


def _object(value: Any, of: sdk.Object, path: str) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield path, _wrong(value, "object")
        return
    known = sdk.properties(of)
    for name, item in value.items():
        where = join_path(path, name)
        if name not in known:
            yield where, unknown_property(name, known)
        elif item is not None:
            yield from faults(item, known[name].type, where)
    for name, each in known.items():
        if each.required and value.get(name) is None:
            yield join_path(path, name), "missing, but required"


def _list(value: Any, item: sdk.Type, path: str) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield path, _wrong(value, "list")
        return
    for index, each in enumerate(value):
        yield from faults(each, item, join_path(path, index))


def _map(value: Any, item: sdk.Type, path: str) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield path, _wrong(value, "object")
        return
    for name, each in value.items():
        yield from faults(each, item, join_path(path, name))


def _one_of(value: Any, choices: tuple[sdk.Type, ...], path: str) -> Iterator[Fault]:
    found = [list(faults(value, choice, path)) for choice in choices]
    if all(found):
        # The choice with the deepest fault is the one that was meant: `{}` for a boolean or an object is the object.
        at_top = [each for each in found if each[0][0] == path]
        deeper = [each for each in found if each[0][0] != path]
        if deeper or len(at_top) == 1:
            yield from (deeper or at_top)[0]
        else:
            yield path, _wrong(value, " or ".join(_name(choice) for choice in choices))


def _name(of: sdk.Type) -> str:
    match of:
        case sdk.Scalar(name):
            return name
        case sdk.ListOf():
            return "list"
        case sdk.Literals(values):
            return " or ".join(map(shown, values))
        case _:
            return "object"
