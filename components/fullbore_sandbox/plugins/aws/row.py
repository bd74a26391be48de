"""One row of the table: how a resource type is made, read, changed and removed through the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from fullbore_sandbox.plugins.aws.api import Api
from fullbore_sandbox.plugins.aws.convert import tag_list

Map = dict[str, Any]

TOKEN_TAG = "fullbore:token"
"""Tag by which a killed creation is found again. It is put on every object that takes tags, and never shown."""


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """How the tags of an object are changed after its creation; `key(id, outputs)` names it to `set` and `unset`."""

    key: Callable[[str, Map], str]
    set: Callable[[Api, str, dict[str, str]], None]
    unset: Callable[[Api, str, list[str]], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A resource type. Maps of properties have the names that go over the wire.

    `create` makes the object with one call and returns its id; whatever else must be set is for `finish`, so that an
    object whose second call failed is kept and repaired. `read` returns every property it can read, or raises the
    API's own not-found error, or returns None where it is gone. `find` looks for a token's object after a kill.
    """

    type: str
    inputs: Set[str]
    """Inputs that this stand-in carries out; another one is refused by name."""
    create: Callable[[Api, Map, str], str]
    read: Callable[[Api, str, Map], Map | None]
    delete: Callable[[Api, str, Map], None]
    find: Callable[[Api, str], str | None]
    update: Callable[[Api, str, Map, Set[str]], None] | None = None
    """(api, id, new inputs, names of changed properties); None where every change replaces or is a tag."""
    finish: Callable[[Api, str, Map], None] | None = None
    token: Callable[[Map], str] | None = None
    """The object's own name, from its inputs, where a name or key identifies it; a random token otherwise."""
    tagging: Tagging | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    """Properties whose change replaces the object, each with its source."""
    unique: Set[str] = frozenset()
    """Properties that no two objects may share: a replacement that keeps them deletes first."""
    name: str = ""
    """The property that gets a generated name where none is given."""
    name_case: Callable[[str], str] = str
    unreadable: Set[str] = frozenset()
    """Inputs that the API never gives back, or that the emulator does not: drift in them cannot be seen."""
    computed: Set[str] = frozenset()
    """Inputs that AWS fills where they are left out: their value is then no drift."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values that an input has where it is left out."""
    moving: Set[str] = frozenset()
    """Outputs that another change moves along: not known while an update is previewed."""
    filled: Mapping[str, Set[str]] = field(default_factory=dict)
    """What AWS adds inside an object that is an input too: {property: names in it}."""
    absent: Set[str] = frozenset()
    """Outputs that the SDK calls always filled and that the emulator does not know; they stay null."""


def new_tags(inputs: Map, token: str) -> list[Map]:
    """The tags asked for, and the token among them from the first moment."""
    return tag_list({**inputs.get("tags", {}), TOKEN_TAG: token})
