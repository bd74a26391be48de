"""Turns what pydantic found into the house's problems: path, what, got, allowed, what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fullbore.config.base import NAME_PATTERN
from fullbore.config.paths import clip, dotted
from fullbore.problems import ConfigError, Problem

__all__ = ["UNKNOWN_SECRET", "ConfigError", "nearest", "problems_of"]

UNKNOWN_SECRET = "[secret]"
"""What an encrypted value reads as."""

NEVER_SECRET = "encrypted, but this field is read, shown and kept in clear; write it in clear, or leave it out"
"""Of every field but those that `stack_file` names as secret."""

UNITS = {
    "gib": "GiB",
    "gbps": "Gbit/s",
    "mib_s": "MiB/s",
    "s": "seconds",
    "hours": "hours",
    "days": "days",
    "tokens": "tokens",
    "parallel": "GPUs",
}
"""Units by the last word or two of a field's name."""


def problems_of(model: type[BaseModel], errors: Sequence[ErrorDetails]) -> tuple[Problem, ...]:
    """One problem for each place; of the alternatives of a union only the first is told."""
    found: dict[tuple[str, str], Problem] = {}
    for error in errors:
        place = _Place(model, error["loc"])
        rule, describe = _TABLE.get(error["type"], ("config-value", _other))
        if error["input"] == UNKNOWN_SECRET and error["type"] in _TABLE:
            rule, describe = "config-secret", _encrypted
        problem = Problem(path=dotted(place.loc), severity="error", rule=rule, message=describe(error, place))
        found.setdefault((problem.path, error["type"] if rule == "config-unknown-field" else ""), problem)
    return tuple(sorted(found.values()))


class _Place:
    """Where an error is: its path without pydantic's own marks, and the field that the path names."""

    def __init__(self, model: type[BaseModel], loc: Sequence[str | int]) -> None:
        self.key = bool(loc) and loc[-1] == "[key]"
        self.field: FieldInfo | None = None
        self.model: type[BaseModel] | None = model
        self.loc: tuple[str | int, ...] = ()
        self.kind: Any = model
        self.keys: Any = None
        for part in loc:
            kind = None if part == "[key]" else self._step(self.kind, part)
            if kind is None:
                break
            self.kind = kind
            self.loc += (part,)

    def _step(self, kind: Any, part: str | int) -> Any:
        """The type below `kind` at `part`; None where `part` is no part of the file (a union's tag, `[key]`)."""
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            self.model, self.field = kind, kind.model_fields.get(str(part))
            return self.field.annotation if self.field else Any
        if get_origin(kind) is dict:
            self.keys = get_args(kind)[0]
            return self._item(get_args(kind)[1])
        if get_origin(kind) is tuple and isinstance(part, int):
            return self._item(get_args(kind)[0])
        return Any if kind is Any and not self.loc else None

    def _item(self, kind: Any) -> Any:
        self.model = None
        return kind

    @property
    def siblings(self) -> tuple[str, ...]:
        return tuple(self.model.model_fields) if self.model else ()

    @property
    def unit(self) -> str:
        """`GiB` for `memory_gib`; nothing where the name carries no unit."""
        words = str(self.loc[-1]).split("_") if self.loc else []
        return UNITS.get("_".join(words[-2:])) or UNITS.get("".join(words[-1:]), "")

    @property
    def description(self) -> str:
        return (self.field.description or "") if self.field else ""

    @property
    def secret(self) -> bool:
        """Whether a secret is to be here, or below: it may have been written one level too high."""
        return (self.field is not None and not self.field.repr) or _holds_secret(self.kind)


def _holds_secret(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any(not field.repr or _holds_secret(field.annotation) for field in kind.model_fields.values())
    return any(map(_holds_secret, get_args(kind)))


def _bare(kind: Any) -> Any:
    """`X | None` and `Annotated[X, ...]` as X."""
    origin = get_origin(kind)
    if origin is Literal:
        return kind
    if hasattr(kind, "__metadata__"):
        return _bare(get_args(kind)[0])
    if origin is not None and (origin is Union or origin.__name__ == "UnionType"):
        rest = [arg for arg in get_args(kind) if arg is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else kind
    return kind


def _got(error: ErrorDetails, place: _Place) -> str:
    """The value as it was written, short, and never that of a secret."""
    value = error["input"]
    if isinstance(value, Mapping):
        return "got a mapping" if value else "got an empty mapping"
    if isinstance(value, list | tuple):
        return "got a list" if value else "got an empty list"
    if place.secret:
        return "got a value that is not shown"
    return "got nothing" if value is None else f"got {clip(repr(value))}"


def nearest(word: str, words: Sequence[str]) -> str:
    """`; did you mean X?` where one of the words is near."""
    near = get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _missing(error: ErrorDetails, place: _Place) -> str:
    return f"missing; add it: {place.description}" if place.description else "missing; add it"


def _unknown(error: ErrorDetails, place: _Place) -> str:
    name = str(error["loc"][-1])
    near = nearest(name, place.siblings)
    return f"unknown field{near or '; remove it'}" + f"; allowed here: {', '.join(sorted(place.siblings))}"


def _number(noun: str) -> Callable[[ErrorDetails, _Place], str]:
    def describe(error: ErrorDetails, place: _Place) -> str:
        allowed = f"{noun} of {place.unit}" if place.unit else noun
        hint = "; write the number without a unit or quotes" if isinstance(error["input"], str) else ""
        return f"{_got(error, place)}, allowed {allowed}{hint}"

    return describe


def _bound(phrase: str, key: str) -> Callable[[ErrorDetails, _Place], str]:
    def describe(error: ErrorDetails, place: _Place) -> str:
        limit = error.get("ctx", {}).get(key)
        unit = f" {place.unit}" if place.unit else ""
        return f"{_got(error, place)}, allowed {phrase.format(f'{limit:g}' if limit is not None else '')}{unit}"

    return describe


def _length(error: ErrorDetails, place: _Place) -> str:
    ctx = error.get("ctx", {})
    allowed = f"at least {ctx['min_length']}" if "min_length" in ctx else f"at most {ctx.get('max_length')}"
    noun = "character" if isinstance(error["input"], str) else "entry"
    if not allowed.endswith(" 1"):
        noun = {"character": "characters", "entry": "entries"}[noun]
    return f"{_got(error, place)}, allowed {allowed} {noun}"


def _choice(error: ErrorDetails, place: _Place) -> str:
    kind = place.keys if place.key else place.field.annotation if place.field else None
    choices = [str(choice) for choice in get_args(_bare(kind))]
    near = nearest(str(error["input"]), choices)
    return f"{_got(error, place)}, allowed {', '.join(choices)}{near}"


def _pattern(error: ErrorDetails, place: _Place) -> str:
    pattern = error.get("ctx", {}).get("pattern")
    if place.key and pattern == NAME_PATTERN:
        return "not a name; allowed lower-case letters, digits and hyphens, beginning with a letter, 2 to 40 characters"
    if place.key:
        return f"a key of another form, allowed {pattern}"
    return f"{_got(error, place)}, allowed {place.description} ({pattern})"


def _network(error: ErrorDetails, place: _Place) -> str:
    try:
        hint = f"; its network is {IPv4Network(str(error['input']), strict=False)}"
    except ValueError:
        hint = ""
    return f"{_got(error, place)}, allowed an IPv4 network without host bits, e.g. 10.20.0.0/16{hint}"


def _kind(noun: str) -> Callable[[ErrorDetails, _Place], str]:
    return lambda error, place: f"{_got(error, place)}, allowed {noun}"


def _encrypted(error: ErrorDetails, place: _Place) -> str:
    return NEVER_SECRET


def _other(error: ErrorDetails, place: _Place) -> str:
    return f"{_got(error, place)}; {error['msg'][:1].lower()}{error['msg'][1:].rstrip('.')}"


def _hub_file(error: ErrorDetails, place: _Place) -> str:
    return f"{_got(error, place)}, which {error['msg']}; name the model's config.json, relative to the stack file"


_Row = tuple[str, Callable[[ErrorDetails, _Place], str]]

_WHOLE: _Row = ("config-number", _number("a whole number"))
_REAL: _Row = ("config-number", _number("a number"))
_MAPPING: _Row = ("config-type", _kind("a mapping of fields"))

_TABLE: dict[str, _Row] = {
    "missing": ("config-missing-field", _missing),
    "extra_forbidden": ("config-unknown-field", _unknown),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _REAL,
    "float_parsing": _REAL,
    "finite_number": _REAL,
    "greater_than": ("config-range", _bound("more than {}", "gt")),
    "greater_than_equal": ("config-range", _bound("{} or more", "ge")),
    "less_than_equal": ("config-range", _bound("{} or less", "le")),
    "multiple_of": ("config-range", _bound("a multiple of {}", "multiple_of")),
    "literal_error": ("config-choice", _choice),
    "string_pattern_mismatch": ("config-pattern", _pattern),
    "string_too_short": ("config-length", _length),
    "string_too_long": ("config-length", _length),
    "too_short": ("config-length", _length),
    "too_long": ("config-length", _length),
    "string_type": ("config-type", _kind("text; put it in quotes")),
    "bool_type": ("config-type", _kind("true or false")),
    "tuple_type": ("config-type", _kind("a list")),
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "hub_file": ("config-file", _hub_file),
    "address_type": ("config-address", _kind("an IPv4 address or network as text")),
    "date_type": ("config-type", _kind("a day as text, e.g. 2026-03-31")),
    "ip_v4_address": ("config-address", _kind("an IPv4 address, e.g. 192.0.2.10")),
    "ip_v4_network": ("config-address", _network),
}
