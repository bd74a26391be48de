"""What the installed pulumi_kubernetes accepts, read from the text of its input classes.

Importing `pulumi_kubernetes.core.v1` costs half a second and 20 MB, and a provider starts at each `pulumi` command.
The classes are generated and regular, so one is found in the text and read in a few milliseconds, when it is needed.
A declaration that does not have the expected form raises `SdkError`: nothing is skipped in silence.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path

_CLASS = "@pulumi.input_type\nclass {name}:\n    def __init__(__self__"
_NEXT = re.compile(r"\n(?:@pulumi\.|class )")
_PARAMETER = re.compile(r"^                 (\w+): (.+?)( = None)?,?$", re.MULTILINE)
_GETTER = re.compile(r'@pulumi\.getter(?:\(name="([^"]+)"\))?\n    def (\w+)\(self\)')
_TOKEN = re.compile(r'@pulumi\.type_token\("kubernetes:([^:"]+):(\w+)"\)')
_FIRST_EXPORT = re.compile(r"^__all__ = \['(\w+)'", re.MULTILINE)
_SCALARS = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}


class SdkError(Exception):
    """The installed SDK has another form than this module reads."""


@dataclass(frozen=True)
class Scalar:
    name: str
    """string, integer, boolean, number, or any"""


@dataclass(frozen=True)
class Literals:
    values: tuple[object, ...]


@dataclass(frozen=True)
class ListOf:
    item: Type


@dataclass(frozen=True)
class MapOf:
    value: Type


@dataclass(frozen=True)
class Object:
    module: str
    """Folder of the package, such as `core/v1`."""
    name: str


@dataclass(frozen=True)
class OneOf:
    choices: tuple[Type, ...]


Type = Scalar | Literals | ListOf | MapOf | Object | OneOf
ANY = Scalar("any")


@dataclass(frozen=True)
class Property:
    """One property by its wire name (`apiVersion`)."""

    name: str
    type: Type
    required: bool


@cache
def package() -> Path:
    """The folder of the installed SDK; finding it does not import it."""
    spec = util.find_spec("pulumi_kubernetes")
    if spec is None or not spec.submodule_search_locations:
        raise SdkError("pulumi_kubernetes is not installed; install requirements/base")
    return Path(spec.submodule_search_locations[0])


@cache
def version() -> str:
    # Every SDK ships this file for the engine; importlib.metadata would cost more than the rest of this module.
    return str(json.loads(_text(package() / "pulumi-plugin.json"))["version"])


@cache
def kinds(module: str) -> dict[str, str]:
    """The kinds of a folder such as `apps/v1`, as {kind: `GROUP/VERSION` of its token}; empty for no such folder."""
    folder = package() / module
    found: dict[str, str] = {}
    for path in folder.glob("*.py") if folder.is_dir() else ():
        match = _TOKEN.search(_text(path)) if path.name[0].isupper() else None
        if match:
            found[match[2]] = match[1]
    return found


@cache
def resource(api: str, kind: str) -> Object | None:
    """The input class of `apps/v1`, `Deployment`; None where the SDK has no such token."""
    group, _, version_ = api.rpartition("/")
    module = f"{group.split('.')[0]}/{version_}"
    path = package() / module / f"{kind}.py"
    if not path.is_file():
        return None
    text = _text(path)
    match, export = _TOKEN.search(text), _FIRST_EXPORT.search(text)
    if not match or not export or match.groups() != (api, kind):
        return None
    return Object(module, f"{kind}:{export[1]}")


@cache
def is_built_in(api: str) -> bool:
    """True where the SDK has classes for this group, in any version: a kind that it lacks there is an error."""
    group = api.rpartition("/")[0]
    if "." not in group:
        return True
    folder = package() / group.split(".")[0]
    return any(
        known.rpartition("/")[0] == group
        for module in (folder.iterdir() if folder.is_dir() else ())
        for known in set(kinds(f"{folder.name}/{module.name}").values())
    )


@cache
def properties(of: Object) -> dict[str, Property]:
    """The properties of an input class, by wire name. Raises SdkError where the class cannot be read."""
    body = _class_text(of)
    signature, _, rest = body.partition("):\n")
    wire = {python: name or python for name, python in _GETTER.findall(rest)}
    found = [
        Property(wire[python], _parse(annotation, of.module), not optional)
        for python, annotation, optional in _PARAMETER.findall(signature)
    ]
    if len(found) != len(wire):
        raise SdkError(f"{of.module}.{of.name}: {len(found)} parameters but {len(wire)} properties")
    return {each.name: each for each in found}


def _class_text(of: Object) -> str:
    """From the first parameter to the end of the class. `Kind:Name` names a class in the kind's own file."""
    file, _, name = of.name.rpartition(":")
    path = package() / of.module / f"{file or '_inputs'}.py"
    head = _CLASS.format(name=name)
    _, found, rest = _text(path).partition(head)
    if not found:
        raise SdkError(f"{of.module}: no input class {name} in the installed pulumi_kubernetes {version()}")
    end = _NEXT.search(rest)
    return rest[: end.start()] if end else rest


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _parse(annotation: str, module: str) -> Type:
    return _type(ast.parse(annotation, mode="eval").body, module)


def _type(node: ast.expr, module: str) -> Type:
    match node:
        case ast.Subscript(value=head, slice=argument):
            return _generic(_dotted(head), argument, module)
        case ast.Constant(value=str(reference)):
            return _reference(reference, module)
        case _:
            name = _dotted(node).removeprefix("_builtins.")
            if name == "Any" or name.startswith("pulumi."):
                return ANY
            return Scalar(_SCALARS[name])


def _generic(head: str, argument: ast.expr, module: str) -> Type:
    parts = argument.elts if isinstance(argument, ast.Tuple) else [argument]
    if head in ("pulumi.Input", "Optional"):
        return _type(parts[0], module)
    if head == "Sequence":
        return ListOf(_type(parts[0], module))
    if head == "Mapping":
        return MapOf(_type(parts[1], module))
    if head == "Union":
        return OneOf(tuple(_type(part, module) for part in parts))
    if head == "Literal":
        return Literals(tuple(part.value for part in parts if isinstance(part, ast.Constant)))
    raise SdkError(f"{module}: unknown form {head}[...] in an annotation")


def _reference(name: str, module: str) -> Type:
    """`DeploymentSpecArgs`, `_meta.v1.ObjectMetaArgs`; a name without `Args` is an enum of strings."""
    *path, last = name.split(".")
    if not last.endswith("Args"):
        return Scalar("string")
    return Object("/".join(path).removeprefix("_") if path else module, last)


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value)}.{attr}"
        case _:
            raise SdkError(f"unknown form {ast.dump(node)} in an annotation")
