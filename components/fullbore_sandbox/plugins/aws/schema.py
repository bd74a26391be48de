"""What the installed pulumi_aws knows of a type: its inputs and outputs, read from the SDK's own classes.

Importing one service of the SDK takes up to half a second, so what was read is kept in the user's cache directory under
the SDK's version. The SDK stays the only source: delete the folder and it is read again.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
import json
import os
import sys
import tempfile
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
"""Raise it when the cached form changes."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The type of a value. `kind`: string, integer, number, boolean, list, map, object, any or one-of."""

    kind: str
    name: str = ""
    """Class of the SDK, where kind is object."""
    item: Shape | None = None
    """Element of a list or map."""
    fields: Mapping[str, Field] = field(default_factory=dict)
    choices: tuple[Shape, ...] = ()

    def __str__(self) -> str:
        if self.kind == "one-of":
            return " or ".join(str(choice) for choice in self.choices)
        return f"{self.kind} of {self.item}" if self.item else self.name or self.kind


@dataclass(frozen=True, kw_only=True)
class Field:
    """One property of an object or resource."""

    shape: Shape
    required: bool
    """An input that must be given, or an output that the provider always fills."""


@dataclass(frozen=True, kw_only=True)
class ResourceSchema:
    """Inputs and outputs of a resource type, by the names that go over the wire."""

    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]


def sdk_version() -> str:
    """Version of the installed pulumi_aws: the version that the stand-in answers with."""
    return importlib.metadata.version("pulumi_aws")


@functools.cache
def resource_schema(token: str) -> ResourceSchema | None:
    """The schema of a resource type such as `aws:s3/bucket:Bucket`; None where the SDK has no such class."""
    path = _cache_folder() / f"{token.replace('/', '.').replace(':', '-')}.json"
    if path.exists():
        return _load(json.loads(path.read_text()))
    cls = _resource_class(token)
    if cls is None:
        return None
    schema = ResourceSchema(inputs=_inputs_of(_args_class(cls)), outputs=_outputs_of(cls))
    with suppress(OSError):  # in a cache that cannot be written it is read anew each time
        _write(path, json.dumps(asdict(schema)))
    return schema


def known_types() -> dict[str, str]:
    """Every resource type that the SDK registers, as {token: "package.Class"}."""
    root = importlib.import_module("pulumi_aws")
    found: dict[str, str] = {}
    for module in _registered(root):
        for token, name in module["classes"].items():
            found[token] = f"{module['fqn']}.{name}"
    return found


def _registered(root: types.ModuleType) -> list[dict[str, Any]]:
    """The table that the SDK registers its classes from; it stands as JSON in the package's `__init__`."""
    source = Path(str(root.__file__)).read_text()
    start = source.index('resource_modules="""') + len('resource_modules="""')
    return json.loads(source[start : source.index('"""', start)])


def _resource_class(token: str) -> type | None:
    if token == "pulumi:providers:aws":
        return getattr(importlib.import_module("pulumi_aws"), "Provider")  # noqa: B009
    where = known_types().get(token)
    if where is None:
        return None
    package, _, name = where.rpartition(".")
    return getattr(importlib.import_module(package), name)


def _args_class(cls: type) -> type:
    """The class of a resource's constructor arguments: NAMEInitArgs where NAMEArgs is taken by a nested type."""
    module = sys.modules[cls.__module__]
    return getattr(module, f"{cls.__name__}InitArgs", None) or getattr(module, f"{cls.__name__}Args")


def _inputs_of(args: type) -> dict[str, Field]:
    from pulumi._types import input_type_py_to_pulumi_names

    wire = input_type_py_to_pulumi_names(args)
    init = args.__init__
    hints = typing.get_type_hints(init, _namespace(args))
    return {
        wire[name]: Field(shape=_shape(hints[name]), required=parameter.default is inspect.Parameter.empty)
        for name, parameter in inspect.signature(init).parameters.items()
        if name in wire
    }


def _outputs_of(cls: type) -> dict[str, Field]:
    """Outputs with their names on the wire. One that the SDK types as Optional need not be filled."""
    import pulumi
    from pulumi._types import _py_properties

    names = _namespace(cls)
    found: dict[str, Field] = {}
    for _, wire, prop in _py_properties(cls):
        hint = typing.get_type_hints(prop.fget, names)["return"]
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is pulumi.Output else hint
        found[wire] = Field(shape=_shape(inner), required=type(None) not in typing.get_args(inner))
    return found


def _namespace(cls: type) -> dict[str, Any]:
    """What annotations of the SDK refer to: names of the module, and those inside the alias `pulumi.Input`."""
    import pulumi

    return {**vars(sys.modules[cls.__module__]), "Output": pulumi.Output, "T": type(None)}


def _shape(hint: Any) -> Shape:
    """The shape behind an annotation: Input, Output, Optional and Awaitable are wrappers and fall away."""
    import pulumi

    options = [o for o in _options(hint) if o is not type(None)]
    options = [o for o in options if typing.get_origin(o) not in (typing.Awaitable, pulumi.Output)]
    options = [o for o in options if getattr(typing.get_origin(o), "__name__", "") != "Awaitable"]
    shapes = {str(shape): shape for shape in map(_plain_shape, options) if shape}
    if len(shapes) == 1:
        return next(iter(shapes.values()))
    return Shape(kind="one-of", choices=tuple(shapes.values())) if shapes else Shape(kind="any")


def _options(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [option for arg in typing.get_args(hint) for option in _options(arg)]
    return [hint]


_SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _plain_shape(option: Any) -> Shape | None:
    origin, args = typing.get_origin(option), typing.get_args(option)
    if option in _SCALARS:
        return Shape(kind=_SCALARS[option])
    if origin is not None and issubclass(origin, Mapping):
        return Shape(kind="map", item=_shape(args[1]))
    if origin is not None:
        return Shape(kind="list", item=_shape(args[0]))
    if isinstance(option, type):
        return _class_shape(option)
    return Shape(kind="any")


def _class_shape(option: type) -> Shape | None:
    from pulumi._types import is_input_type, is_output_type, output_type_types

    if issubclass(option, str):  # an enum; the SDK takes any string beside it
        return Shape(kind="string")
    if is_input_type(option):
        return Shape(kind="object", name=option.__name__, fields=_inputs_of(option))
    if is_output_type(option):
        fields = {k: Field(shape=_shape(t), required=False) for k, t in output_type_types(option).items()}
        return Shape(kind="object", name=option.__name__, fields=fields)
    return None if typing.is_typeddict(option) else Shape(kind="any")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fullbore" / f"pulumi-aws-{sdk_version()}-schema-{FORMAT}"


def _write(path: Path, text: str) -> None:
    """Atomically, so that a run killed here leaves no half a schema behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _load(data: Mapping[str, Any]) -> ResourceSchema:
    return ResourceSchema(inputs=_load_fields(data["inputs"]), outputs=_load_fields(data["outputs"]))


def _load_fields(data: Mapping[str, Any]) -> dict[str, Field]:
    return {name: Field(shape=_load_shape(f["shape"]), required=f["required"]) for name, f in data.items()}


def _load_shape(data: Mapping[str, Any]) -> Shape:
    return Shape(
        kind=data["kind"],
        name=data["name"],
        item=_load_shape(data["item"]) if data["item"] else None,
        fields=_load_fields(data["fields"]),
        choices=tuple(_load_shape(choice) for choice in data["choices"]),
    )
