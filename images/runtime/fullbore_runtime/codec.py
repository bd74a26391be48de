"""Frozen dataclasses to JSON values and back, for facts that are kept or come from another machine."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """JSON form of a value; fields of a dataclass that hold their default are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {field.name: to_json(got) for field, got in fields if got != _default(field)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def from_json(kind: type[T], value: Any, path: str = "") -> T:
    """A value of `kind` from its JSON form. Raises ValueError naming the field that is wrong."""
    return _read(kind, value, path or kind.__name__)


def _read(kind: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, path)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = next(part for part in parts if part is not type(None))
        return None if value is None else _read(inner, value, path)
    if origin is tuple:
        return _tuple(parts, value, path)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _read(parts[1], item, f"{path}.{key}") for key, item in _of(dict, value, path).items()}
    if kind is Path:
        return Path(_of(str, value, path))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _of(kind, value, path)


def _dataclass(kind: Any, value: Any, path: str) -> Any:
    hints = typing.get_type_hints(kind)
    given = _of(dict, value, path)
    unknown = given.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{path}: got unknown {', '.join(sorted(unknown))}; allowed {', '.join(hints)}")
    try:
        return kind(**{name: _read(hints[name], item, f"{path}.{name}") for name, item in given.items()})
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error


def _tuple(parts: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    items = _of(list, value, path)
    kinds = [parts[0]] * len(items) if parts[-1] is Ellipsis else list(parts)
    if len(kinds) != len(items):
        raise ValueError(f"{path}: got {len(items)} values, must be {len(kinds)}")
    return tuple(
        _read(kind, item, f"{path}[{index}]") for index, (kind, item) in enumerate(zip(kinds, items, strict=True))
    )


def _of(kind: type[T], value: Any, path: str) -> T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{path}: must be {kind.__name__}, got {value!r}")
    return value
