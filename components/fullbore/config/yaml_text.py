"""Reads a stack file's YAML the way the engine does, and strictly.

YAML 1.2's core words only (`no` and `1:30` are text, as in Pulumi's own reader), a key written twice is an error,
and aliases cannot make a small file grow without limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from fullbore.config.errors import UNKNOWN_SECRET, ConfigError
from fullbore.config.paths import clip, in_stack_file
from fullbore.problems import Problem

MAX_DEPTH = 40
MAX_NODES = 500_000
"""Far above the largest environment (10,000 hosts are about 50,000 nodes)."""

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):
    """A safe loader of YAML 1.2 core words that refuses a key written twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own shape)
    simple = False
    """True where what was read holds neither an encrypted value nor an alias, and is no larger than allowed."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """As PyYAML's own, without its paths, which nothing here has: it is asked for every node."""
        if kind is not yaml.ScalarNode:
            return _MAP if kind is yaml.MappingNode else _SEQ
        for tag, pattern in self.yaml_implicit_resolvers.get(value[:1], ()) if implicit[0] else ():
            if pattern.match(value):
                return tag
        return _TEXT

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Called twice for each node, to follow paths."""

    def ascend_resolver(self) -> None:
        """As above."""

    def construct_document(self, node: Any) -> Any:
        plain = _Plain()
        try:
            value = plain.value(node)
        except (KeyError, ValueError, TypeError):  # a tag that is written out, or a key that is no text: rare
            plain.doubtful, value = True, _Plain
        problems = tuple(_repeated(node, (), set())) if plain.doubtful else ()
        if problems:
            raise ConfigError(problems)
        self.simple = plain.simple and not plain.doubtful
        if value is _Plain:
            return super().construct_document(node)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return value


class _Plain:
    """Values of nodes whose tags are the core words': several times as fast as PyYAML's constructors."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}
        """Lists and mappings by node: an alias is the same object, also one within itself."""
        self.doubtful = False
        """True where a key may be written twice: one was met again, or is no text (`1` and `"1"` are the same)."""
        self.simple = True
        """False where an alias or the key of an encrypted value was met, or what is nested too deep."""
        self.nodes = 0

    def value(self, node: Any, depth: int = 0) -> Any:
        """Raises KeyError for another tag, ValueError for a text that its tag does not take."""
        if isinstance(node, yaml.ScalarNode):
            return _SCALARS[node.tag](node.value)
        if id(node) in self.seen:
            self.simple = False
            return self.seen[id(node)]
        self.nodes += len(node.value)
        self.simple = self.simple and depth <= MAX_DEPTH and self.nodes <= MAX_NODES
        if node.tag == _MAP:
            return self._mapping(node, depth)
        if node.tag != _SEQ:
            raise KeyError(node.tag)
        items: list[Any] = []
        self.seen[id(node)] = items
        items.extend(self.value(item, depth + 1) for item in node.value)
        return items

    def _mapping(self, node: Any, depth: int) -> dict[Any, Any]:
        mapping: dict[Any, Any] = {}
        self.seen[id(node)] = mapping
        for key, item in node.value:
            self.doubtful = self.doubtful or key.tag != _TEXT
            name = key.value if key.tag == _TEXT else self.value(key)
            mapping[name] = self.value(item, depth + 1)
        self.doubtful = self.doubtful or len(mapping) < len(node.value)
        self.simple = self.simple and SECURE not in mapping
        return mapping


SECURE = "secure"
"""The only key of an encrypted value."""
_TAG = "tag:yaml.org,2002:"
_TEXT, _MAP, _SEQ = _TAG + "str", _TAG + "map", _TAG + "seq"
_BOOLS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_SCALARS: dict[str, Callable[[str], Any]] = {
    _TEXT: str,
    _TAG + "int": int,
    _TAG + "float": float,
    _TAG + "bool": _BOOLS.__getitem__,
    _TAG + "null": lambda text: None,
}


def _repeated(node: Any, loc: tuple[str | int, ...], seen: set[int]) -> Iterator[Problem]:
    """Keys that a mapping holds twice, with their whole path. A node that aliases share is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, (*loc, index), seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError([_syntax(f"line {line}: a key is a list or a mapping, allowed text")])
        word = str(key.value)
        place = (*loc, word)
        if word in lines:
            message = f"{clip(word)} is written twice, on lines {lines[word]} and {line}; keep one of them"
            path = in_stack_file(place)
            yield Problem(path=path, severity="error", rule="config-duplicate-key", message=message)
        lines[word] = line
        yield from _repeated(item, place, seen)


def _float(loader: Any, node: Any) -> float:
    return float(loader.construct_scalar(node))


def _words() -> None:
    """YAML 1.2 core schema: null, booleans, integers, floats; everything else is text."""
    table = (
        ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ("~", "n", "N", "")),
        ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", tuple("tTfF")),
        ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]{0,30})$", tuple("-+0123456789")),
        (
            "tag:yaml.org,2002:float",
            r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$",
            tuple("-+.0123456789"),
        ),
    )
    for tag, pattern, first in table:
        _Loader.add_implicit_resolver(tag, re.compile(pattern), list(first))
    _Loader.add_constructor("tag:yaml.org,2002:float", _float)


_words()


class Raw(NamedTuple):
    """A file's top level with encrypted values as the engine wrote them; `simple` where there are none, nor aliases."""

    content: Mapping[object, object]
    simple: bool


def read_mapping(path: Path) -> dict[str, object]:
    """The file's top level. Raises ConfigError with the line where the text is not YAML."""
    return revealed(read_raw(path))


def read_raw(path: Path) -> Raw:
    """Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError([_syntax(f"{path}: {reason.lower()}; give the name of an environment or a file")]) from error
    return parse_raw(text)


def parse_raw(text: str) -> Raw:
    """A file's text as `read_raw` gives it. Raises ConfigError."""
    try:
        loader: Any = _Loader(text)  # a subclass of the safe loader; refuses characters that YAML does not have
        value: object = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError([_syntax(_yaml_message(error))]) from error
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise ConfigError([_syntax(f"the text is not plain YAML: {str(error).splitlines()[0][:100]}")]) from error
    if not isinstance(value, dict):
        raise ConfigError([_syntax("the file is not a mapping; see stacks/Pulumi.local.yaml for the form")])
    return Raw(cast("Mapping[object, object]", value), loader.simple)


def revealed(raw: Raw) -> dict[str, object]:
    """What was read, with an unknown secret for each encrypted value; raises ConfigError where it has no end."""
    return cast("dict[str, object]", raw.content) if raw.simple else _Revealed().mapping(raw.content)


class _Revealed:
    """Copies what was read: an encrypted value becomes an unknown secret, and growth by aliases is bounded."""

    def __init__(self) -> None:
        self.nodes = 0

    def mapping(self, value: Mapping[Any, Any], depth: int = 0) -> dict[str, object]:
        return {str(key): self._value(item, depth + 1) for key, item in value.items()}

    def _value(self, value: Any, depth: int) -> object:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise ConfigError([_syntax("the file nests or repeats itself without end; write aliases out")])
        if isinstance(value, dict):
            if list(value) == [SECURE] and isinstance(value[SECURE], str):  # pyright: ignore[reportUnknownArgumentType]
                return UNKNOWN_SECRET
            return self.mapping(value, depth)  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(value, list):
            return [self._value(item, depth + 1) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return value


def _yaml_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = str(getattr(error, "problem", None) or "not YAML")
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{what}; correct the file's YAML"


def _syntax(message: str) -> Problem:
    return Problem(path="file", severity="error", rule="config-yaml", message=message)
