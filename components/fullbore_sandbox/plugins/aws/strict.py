"""Checking inputs against the SDK's own types: unknown, missing and wrongly typed properties, all the way down."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from fullbore.provider.base import UNKNOWN, Failure, Secret
from fullbore.provider.values import join_path
from fullbore_sandbox.plugins.aws.schema import Field, Shape

_ACCEPTS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "list": (list,),
    "map": (dict,),
    "object": (dict,),
}
_SAID: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", list: "list", dict: "map"}


def check_fields(values: Mapping[str, Any], fields: Mapping[str, Field], path: str = "") -> list[Failure]:
    """What is wrong with the properties of a resource or of an object in it; nothing where all is well."""
    found = [_unknown(join_path(path, name), name, fields) for name in values if name not in fields]
    for name, known in fields.items():
        here = join_path(path, name)
        if values.get(name) is not None:
            found += check_value(values[name], known.shape, here)
        elif known.required:
            found.append(Failure(here, f"missing; a {known.shape} is required"))
    return found


def check_value(value: Any, shape: Shape, path: str) -> list[Failure]:
    """What is wrong with one value. What is not known yet may still become right."""
    if isinstance(value, Secret):
        # What was got is said of plain values only.
        return [Failure(f.path, f"a secret that is no {shape}") for f in check_value(value.value, shape, path)]
    if value is UNKNOWN or shape.kind == "any":
        return []
    if shape.kind == "one-of":
        return _check_choices(value, shape, path)
    if not _fits(value, shape.kind):
        return [Failure(path, f"got {_describe(value)}, but only a {shape} is allowed")]
    return _check_inside(value, shape, path)


def _check_inside(value: Any, shape: Shape, path: str) -> list[Failure]:
    if shape.kind == "object":
        return check_fields(value, shape.fields, path)
    if shape.kind == "list" and shape.item:
        return [f for i, v in enumerate(value) for f in check_value(v, shape.item, join_path(path, i))]
    if shape.kind == "map" and shape.item:
        return [f for k, v in value.items() for f in check_value(v, shape.item, join_path(path, k))]
    return []


def _check_choices(value: Any, shape: Shape, path: str) -> list[Failure]:
    fitting = [choice for choice in shape.choices if choice.kind == "any" or _fits(value, choice.kind)]
    if not fitting:
        return [Failure(path, f"got {_describe(value)}, but only a {shape} is allowed")]
    answers = [check_value(value, choice, path) for choice in fitting]
    return min(answers, key=len)


def _fits(value: Any, kind: str) -> bool:
    return isinstance(value, _ACCEPTS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _describe(value: Any) -> str:
    said = _SAID.get(type(value), type(value).__name__)
    return f"the {said} {value!r}" if isinstance(value, str | int | float) and len(repr(value)) < 40 else f"a {said}"


def _unknown(path: str, name: str, fields: Iterable[str]) -> Failure:
    close = difflib.get_close_matches(name, fields, n=1)
    advice = f"did you mean {close[0]}" if close else f"known are {', '.join(sorted(fields))}"
    return Failure(path, f"no such property in this version of pulumi_aws; {advice}")
