"""Between the SDK's camelCase values and the API's, and comparing values as AWS does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Map = dict[str, Any]


def pascal(value: Any, renames: Mapping[str, str] = {}) -> Any:
    """Keys of maps with a capital first letter, or as `renames` has them (old name: new name)."""
    if isinstance(value, Mapping):
        return {renames.get(k, k[:1].upper() + k[1:]): pascal(v, renames) for k, v in value.items() if v is not None}
    return [pascal(item, renames) for item in value] if isinstance(value, list) else value


def camel(value: Any, renames: Mapping[str, str] = {}) -> Any:
    """The reverse of `pascal`, with `renames` the same way round."""
    back = {new: old for old, new in renames.items()}
    return _camel(value, back)


def _camel(value: Any, back: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {back.get(k, k[:1].lower() + k[1:]): _camel(v, back) for k, v in value.items() if v is not None}
    return [_camel(item, back) for item in value] if isinstance(value, list) else value


def pick(values: Mapping[str, Any], names: Mapping[str, str]) -> Map:
    """{new name: value} of the names {old: new} that have a value."""
    return {new: values[old] for old, new in names.items() if values.get(old) is not None}


def flags_to_strings(value: Any) -> Any:
    """Booleans as the text "true" or "false", which is how some properties of the SDK are typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return {k: flags_to_strings(v) for k, v in value.items()}
    return [flags_to_strings(v) for v in value] if isinstance(value, list) else value


def as_text(document: Any) -> str:
    """A policy as text: the SDK takes it as JSON text or as an object."""
    return document if isinstance(document, str) else json.dumps(document, sort_keys=True)


def canonical(value: Any, documents: bool = False) -> Any:
    """The value in a form that is equal where AWS sees no difference.

    Lists are sets to AWS in every property that this stand-in has; JSON text is compared by what it says.
    """
    if isinstance(value, Mapping):
        return {k: canonical(v, documents) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return sorted((canonical(v, documents) for v in value), key=_order)
    if documents and isinstance(value, str) and value[:1] == "{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _order(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def refreshed(old: Any, live: Any) -> Any:
    """What a person would have to have written to get `live`, staying as near to `old` as it can.

    Of an object in an object only what was written is followed: the API adds defaults of its own there.
    """
    if isinstance(old, Mapping) and isinstance(live, Mapping):
        return {k: refreshed(v, live[k]) for k, v in old.items() if live.get(k) is not None}
    if isinstance(old, list) and isinstance(live, list):
        return _refreshed_list(old, live)
    if canonical(old, documents=True) == canonical(live, documents=True):
        return old
    return live


def _refreshed_list(old: list[Any], live: list[Any]) -> list[Any]:
    """Items of `old` that are still there keep their place; then those that changed, then those that came."""
    left = list(live)
    result: list[Any] = []
    for item in old:
        match = next((i for i, have in enumerate(left) if canonical(refreshed(item, have)) == canonical(item)), None)
        if match is not None:
            result.append(item)
            left.pop(match)
        else:
            result.append(None)
    changed = [item for item, kept in zip(old, result, strict=True) if kept is None]
    news = [refreshed(changed[i], have) if i < len(changed) else have for i, have in enumerate(left)]
    return [item for item in result if item is not None] + news


def tag_list(tags: Mapping[str, str]) -> list[Map]:
    return [{"Key": k, "Value": v} for k, v in sorted(tags.items())]


def tag_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}
