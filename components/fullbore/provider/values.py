"""Property values as the engine sends them, and back: secrets, unknowns, assets, and paths.

The wire form is a protobuf `Struct` whose special values are marked by fixed signatures
(pulumi/pulumi, sdk/go/common/resource/properties.go and plugin/rpc.go). Here they are Python values: `Secret`,
`UNKNOWN` and `Special`. Numbers on the wire are doubles: an integer beyond 2**53 loses digits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf import struct_pb2

Map = dict[str, Any]
"""A property map: values are None, bool, int, float, str, list, dict, Secret, UNKNOWN or Special."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key that marks an object as something other than a plain map."""

_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_SPECIAL: Final = {
    "asset": "c44067f5952c0a294b673a41bacd8c17",
    "archive": "0def7320c3a5731c473e5ecbe6d01bc7",
    "resource": "5cf8f73096256a8f31e491e813e4eb8e",
}
_SPECIAL_KIND: Final = {signature: kind for kind, signature in _SPECIAL.items()}
_UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_WIRE: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        _UNKNOWN_STRING,
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """The type of `UNKNOWN`: a value that is not known during a preview. There is one, compared with `is`."""

    _one: Unknown | None = None

    def __new__(cls) -> Unknown:
        if cls._one is None:
            cls._one = super().__new__(cls)
        return cls._one

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: object) -> Unknown:
        return self

    def __reduce__(self) -> tuple[type[Unknown], tuple[()]]:
        return (Unknown, ())


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, repr=False)
class Secret:
    """A value that must stay encrypted in state and hidden in output. Its repr does not show it."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True)
class Special:
    """An asset, an archive or a reference to a resource, as the engine sent it."""

    kind: str
    """asset, archive or resource"""
    fields: Map


def decode(struct: struct_pb2.Struct) -> Map:
    """A property map from the wire."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def encode(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """A property map for the wire. Raises TypeError on a value that the wire has no form for."""
    struct = struct_pb2.Struct()
    _fill(struct, values)
    return struct


def _decode(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWN_WIRE else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _decode_object(decode(value.struct_value))
    return None


def _decode_object(fields: Map) -> Any:
    signature = fields.pop(SIGNATURE, None)
    if signature is None:
        return fields
    if signature == _SECRET:
        return Secret(fields.get("value"))
    if signature == _OUTPUT:
        value = fields.get("value", UNKNOWN)
        return Secret(value) if fields.get("secret") and not isinstance(value, Secret) else value
    if signature in _SPECIAL_KIND:
        return Special(_SPECIAL_KIND[signature], fields)
    raise ValueError(f"a value is marked {signature}, which this provider does not know; use an engine of its version")


def _fill(struct: struct_pb2.Struct, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        _put(struct.fields[key], value)


def _put(slot: struct_pb2.Value, value: Any) -> None:
    if isinstance(value, Secret):
        inner = value.value.value if isinstance(value.value, Secret) else value.value
        _fill(slot.struct_value, {SIGNATURE: _SECRET, "value": inner})
    elif isinstance(value, Special):
        _fill(slot.struct_value, {SIGNATURE: _SPECIAL[value.kind], **value.fields})
    elif isinstance(value, Mapping):
        slot.struct_value.SetInParent()
        _fill(slot.struct_value, cast("Mapping[str, Any]", value))
    elif isinstance(value, list | tuple):
        slot.list_value.SetInParent()
        for item in cast("list[Any]", value):
            _put(slot.list_value.values.add(), item)
    else:
        _put_scalar(slot, value)


def _put_scalar(slot: struct_pb2.Value, value: Any) -> None:
    if value is UNKNOWN:
        slot.string_value = _UNKNOWN_STRING
    elif value is None:
        slot.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, str):
        slot.string_value = value
    elif isinstance(value, int | float):
        slot.number_value = value
    else:
        raise TypeError(f"a {type(value).__name__} cannot be a property value; use str, bool, a number, list or dict")


def map_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a value in which `change` was applied to every Secret, and to every value that is no list or map."""
    if isinstance(value, Mapping):
        return {key: map_leaves(item, change) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [map_leaves(item, change) for item in cast("list[Any]", value)]
    return change(value)


def plain(value: Any) -> Any:
    """The value without its secret marks. For calling an API with, never for an output or a log."""
    return map_leaves(value, lambda leaf: plain(leaf.value) if isinstance(leaf, Secret) else leaf)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _leaves(item)
    else:
        yield value


def has_unknown(value: Any) -> bool:
    """True where any part of the value, also inside a secret, is not known yet."""
    return any(leaf is UNKNOWN or (isinstance(leaf, Secret) and has_unknown(leaf.value)) for leaf in _leaves(value))


def has_secret(value: Any) -> bool:
    """True where any part of the value is secret."""
    return any(isinstance(leaf, Secret) for leaf in _leaves(value))


def keep_secrets(outputs: Any, inputs: Any) -> Any:
    """The outputs with a secret mark wherever the inputs have one at the same path.

    A list whose length changed is secret as a whole where any of its inputs was: which item is which is not known.
    """
    if isinstance(outputs, Secret):
        return outputs
    if isinstance(inputs, Secret):
        return Secret(plain(outputs))
    if isinstance(outputs, Mapping) and isinstance(inputs, Mapping):
        old = cast("Mapping[str, Any]", inputs)
        return {key: keep_secrets(item, old.get(key)) for key, item in cast("Mapping[str, Any]", outputs).items()}
    if isinstance(outputs, list) and isinstance(inputs, list | tuple):
        new_items, old_items = cast("list[Any]", outputs), cast("list[Any]", inputs)
        if len(new_items) == len(old_items):
            return [keep_secrets(new, old) for new, old in zip(new_items, old_items, strict=True)]
        return Secret(plain(new_items)) if has_secret(old_items) else new_items
    return cast("Any", outputs)


def differences(old: Any, new: Any, prefix: str = "") -> dict[str, str]:
    """What turns `old` into `new`, as {property path: "add" | "update" | "delete"}; secrets are compared by value.

    Lists are compared as a whole. UNKNOWN in `new` counts as an update: it is never taken for unchanged.
    """
    old, new = plain(old), plain(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _map_differences(cast("Map", old), cast("Map", new), prefix)
    return {prefix: "update"} if has_unknown(new) or old != new else {}


def _map_differences(old: Map, new: Map, prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        path = join_path(prefix, key)
        if key not in new:
            found[path] = "delete"
        elif key not in old:
            found[path] = "add"
        else:
            found |= differences(old[key], new[key], path)
    return found


def join_path(prefix: str, *parts: str | int) -> str:
    """A property path as the engine reads it: `hosts.gpu-01.settings["sysctl.vm.swappiness"]`, `ports[0]`."""
    path = prefix
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part or any(mark in part for mark in '.["]'):
            path += f"[{json.dumps(part, ensure_ascii=False)}]"
        else:
            path += f".{part}" if path else part
    return path


def from_json_strings(config: Mapping[str, Any]) -> Map:
    """Provider config with its nested values parsed: the SDKs send lists, maps and booleans as JSON text.

    Numbers stay text (an account id is not a number), and text that is no JSON stays as it is.
    """
    return {key: _from_json_string(value) for key, value in config.items()}


def _from_json_string(value: Any) -> Any:
    if isinstance(value, Secret):
        return Secret(_from_json_string(value.value))
    if not isinstance(value, str) or not value.startswith(("[", "{", "true", "false")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
