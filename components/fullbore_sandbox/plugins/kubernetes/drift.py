"""The live values of what we manage: inputs as they would have to be for the object to be as it is.

A server fills in defaults and rewrites values (`1024Mi` becomes `1Gi`), which is no drift. Where a value differs, a dry
run of the old inputs says what the server would make of them: only where the live object differs from that, it drifted.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from fullbore.provider.values import Secret, plain
from fullbore_sandbox.plugins.kubernetes.kinds import sealed

Object = dict[str, Any]


class _Missing:
    pass


_MISSING = _Missing()

_MERGE_KEYS = ("name", "mountPath", "containerPort", "port", "ip", "devicePath", "topologyKey", "uid")
"""What names an item of a list of objects, first match (the API's patchMergeKey and listMapKeys)."""

_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_SERVER_ANNOTATIONS = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration")


def live_inputs(inputs: Object, live: Object, normalise: Callable[[], Object | None]) -> Object:
    """The old inputs with the live value wherever the object drifted from them.

    `normalise` gives the object that the old inputs would make (a dry run); None where the server would refuse them.
    """
    live = _with_string_data(live)
    if _same(plain(inputs), live):
        return sealed(inputs)
    want = normalise()
    return sealed(_follow(inputs, live, _with_string_data(want) if want else None))


def imported_inputs(live: Object) -> Object:
    """Inputs of an object that was never ours: all that a person could have written."""
    inputs = {key: value for key, value in live.items() if key != "status"}
    metadata = {key: value for key, value in live["metadata"].items() if key not in _SERVER_FIELDS}
    annotations = {k: v for k, v in metadata.pop("annotations", {}).items() if k not in _SERVER_ANNOTATIONS}
    inputs["metadata"] = {**metadata, **({"annotations": annotations} if annotations else {})}
    return sealed(inputs)


def _with_string_data(live: Object) -> Object:
    """A Secret's `stringData` is written and never read back: what it became is in `data`."""
    if live.get("kind") != "Secret":
        return live
    return {**live, "stringData": {key: _text(value) for key, value in (live.get("data") or {}).items()}}


def _text(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode()
    except ValueError:
        return encoded


def _same(value: Any, live: Any) -> bool:
    """True where the live object says exactly this; unset and empty are the same."""
    if _is_empty(value) and (live is _MISSING or _is_empty(live)):
        return True
    if isinstance(value, Mapping) and isinstance(live, Mapping):
        return all(_same(item, live.get(key, _MISSING)) for key, item in value.items())
    if isinstance(value, list) and isinstance(live, list):
        return len(value) == len(live) and all(map(_same, value, live))
    return type(value) is type(live) and value == live


def _follow(value: Any, live: Any, want: Any) -> Any:
    """The live value for one input; `want` is what the server would make of the input, None where that is not known."""
    if isinstance(value, Secret):
        followed = _follow(value.value, live, want)
        return followed if followed is _MISSING else Secret(followed)
    if _same(value, live) or (want is not None and live == want):
        return value
    if isinstance(value, Mapping) and isinstance(live, Mapping):
        return _follow_map(value, live, want)
    if isinstance(value, list) and isinstance(live, list):
        return _follow_list(value, live, want)
    return live


def _follow_map(value: Mapping[str, Any], live: Mapping[str, Any], want: Any) -> Object:
    absent = None if want is None else _MISSING
    wanted = want if isinstance(want, Mapping) else {}
    followed = {key: _follow(item, live.get(key, _MISSING), wanted.get(key, absent)) for key, item in value.items()}
    return {key: item for key, item in followed.items() if item is not _MISSING}


def _follow_list(value: list[Any], live: list[Any], want: Any) -> list[Any]:
    """Items are paired by their merge key, or by position where they have none.

    An item that the server would have anyway (another manager's) is not ours; one that nobody asked for is drift.
    """
    absent = None if want is None else _MISSING
    wanted = want if isinstance(want, list) else []
    key = _merge_key(value, live, wanted)
    if key is None:
        extra = live[max(len(value), len(wanted)) :]
        pairs = [(item, _at(live, i, _MISSING), _at(wanted, i, absent)) for i, item in enumerate(value)]
    else:
        names = [plain(item)[key] for item in value]
        known = {*names, *(item[key] for item in wanted)}
        extra = [item for item in live if item[key] not in known]
        pairs = [
            (item, _named(live, key, name, _MISSING), _named(wanted, key, name, absent))
            for item, name in zip(value, names, strict=True)
        ]
    followed = [_follow(*pair) for pair in pairs]
    return [item for item in followed if item is not _MISSING] + extra


def _merge_key(*lists: list[Any]) -> str | None:
    items = [plain(item) for each in lists for item in each]
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    for key in _MERGE_KEYS:
        if all(key in item for item in items) and all(_unique(each, key) for each in lists):
            return key
    return None


def _unique(items: list[Any], key: str) -> bool:
    return len({plain(item)[key] for item in items}) == len(items)


def _named(items: list[Any], key: str, name: Any, absent: Any) -> Any:
    return next((item for item in items if item.get(key) == name), absent)


def _at(items: list[Any], index: int, absent: Any) -> Any:
    return items[index] if index < len(items) else absent


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", 0) or value == {} or value == []
