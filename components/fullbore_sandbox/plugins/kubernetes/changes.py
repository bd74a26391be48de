"""What turns old inputs into new ones, path by path, and which of it needs another object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from fullbore.provider.values import UNKNOWN, join_path, plain

_ABSENT: Any = object()

Change = tuple[str, str]
"""(property path, "add" | "update" | "delete")"""


def differences(old: Any, new: Any) -> dict[str, str]:
    """The changes between two inputs; lists by position. UNKNOWN counts as an update, an unset value as none."""
    return dict(_walk(plain(old), plain(new), ""))


def with_replacement(changes: Mapping[str, str], replaced_by: Iterable[str]) -> dict[str, str]:
    """The changes, those at or below a path of `replaced_by` (or above it) marked as replacing."""
    fields = tuple(replaced_by)
    return {path: f"{kind}-replace" if _hits(path, fields) else kind for path, kind in changes.items()}


def replaces(changes: Mapping[str, str]) -> bool:
    return any(kind.endswith("-replace") for kind in changes.values())


def _walk(old: Any, new: Any, path: str) -> Iterator[Change]:
    if new is None:
        new = _ABSENT
    if old is None:
        old = _ABSENT
    if old is _ABSENT and new is _ABSENT:
        return
    if old is _ABSENT or new is _ABSENT:
        yield path, "add" if old is _ABSENT else "delete"
    elif new is UNKNOWN:
        yield path, "update"
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _walk(old.get(key), new.get(key), join_path(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index, (one, other) in enumerate(zip_longest(old, new, fillvalue=None)):
            yield from _walk(one, other, join_path(path, index))
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, "update"


def _hits(path: str, fields: Iterable[str]) -> bool:
    return any(_within(path, field) or _within(field, path) for field in fields)


def _within(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))
