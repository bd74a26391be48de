"""A change to an environment, as a value: what a finding proposes, and what a test applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, kw_only=True)
class Change:
    """Set the field at `path` to `value`; None removes it. `path` is of keys, as in the file."""

    path: tuple[str, ...]
    value: object

    def __str__(self) -> str:
        name = ".".join(self.path)
        return f"remove {name}" if self.value is None else f"set {name} to {_shown(self.value)}"


def put(path: str, value: object) -> Change:
    """Set a field by its dotted path, of names that have no dots themselves."""
    return Change(path=tuple(path.split(".")), value=value)


def remove(path: str) -> Change:
    return put(path, None)


def apply(document: Mapping[str, Any], *changes: Change) -> dict[str, Any]:
    """A copy of an environment's document with all the changes made; sections that are not there are added."""
    changed = dict(document)
    for change in changes:
        changed = _with(changed, change.path, change.value)
    return changed


def _with(document: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    head, *rest = path
    if rest:
        inner = document.get(head)
        section = cast("Mapping[str, Any]", inner if isinstance(inner, Mapping) else {})
        return {**document, head: _with(section, tuple(rest), value)}
    if value is None:
        return {key: item for key, item in document.items() if key != head}
    return {**document, head: value}


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, cast('list[object]', value)))}]" if isinstance(value, list | tuple) else str(value)
