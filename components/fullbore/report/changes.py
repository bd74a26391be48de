"""What differs between two previews of an environment: the merge base's and the head's. Pure.

Both are previews of an empty stack, so that each lists every resource with its inputs; what a pull request does is
the difference of the two lists. Whether a change replaces a resource is for the real preview to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from fullbore.problems import Problem

Status = Literal["previewed", "absent", "refused", "failed"]
ABSENT = "(none)"
"""Stands for the value of a property that one side does not have."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One planned resource. `inputs` are JSON values; secrets are already hidden."""

    urn: str
    type: str
    name: str
    inputs: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One environment on one side.

    absent: the side has no such environment. refused: `fullbore check` found errors, nothing was previewed.
    failed: the engine gave up; `reason` has its last lines.
    """

    status: Status
    resources: tuple[Resource, ...] = ()
    problems: tuple[Problem, ...] = ()
    usd_per_hour: float | None = None
    sealed: Mapping[str, str] | None = None
    """Encrypted values by path: what they hold is unknown, but that they changed can be seen."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PropertyChange:
    path: str
    before: object
    after: object


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that the head adds, changes or removes."""

    kind: Literal["add", "change", "remove"]
    type: str
    name: str
    properties: tuple[PropertyChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EnvironmentChange:
    """One environment: the head, the merge base (None where there is none), and what differs."""

    name: str
    base: Side | None
    head: Side
    changes: tuple[Change, ...]
    sealed: tuple[str, ...]
    """Paths of encrypted values that differ."""

    def count(self, kind: Literal["add", "change", "remove"]) -> int:
        return sum(change.kind == kind for change in self.changes)

    @property
    def compared(self) -> bool:
        """True where both sides are known: an absent side counts as one without resources."""
        return self.base is not None and {self.base.status, self.head.status} <= {"previewed", "absent"}

    @property
    def usd_delta(self) -> float | None:
        """US dollars an hour that the head costs more; None where one side's estimate is unknown."""
        if not self.compared or self.base is None:
            return None
        return (self.head.usd_per_hour or 0.0) - (self.base.usd_per_hour or 0.0)

    @property
    def new_problems(self) -> tuple[Problem, ...]:
        """Problems of the head that the merge base does not have."""
        known = set(self.base.problems) if self.base else set[Problem]()
        return tuple(problem for problem in self.head.problems if problem not in known)


def compare(name: str, base: Side | None, head: Side) -> EnvironmentChange:
    """What the head does to one environment. Without a merge base that can be compared, no changes are listed."""
    comparable = base is not None and {base.status, head.status} <= {"previewed", "absent"}
    changes = tuple(_changes(base.resources, head.resources)) if base and comparable else ()
    return EnvironmentChange(name=name, base=base, head=head, changes=changes, sealed=_sealed(base, head))


def _changes(base: Sequence[Resource], head: Sequence[Resource]) -> Iterator[Change]:
    """Changes in the order of the head's resources, then what is removed in the order of the base's."""
    before = {resource.urn: resource for resource in base}
    after = {resource.urn for resource in head}
    for resource in head:
        old = before.get(resource.urn)
        if old is None:
            yield Change(kind="add", type=resource.type, name=resource.name)
            continue
        properties = tuple(_properties(old.inputs, resource.inputs, ""))
        if properties:
            yield Change(kind="change", type=resource.type, name=resource.name, properties=properties)
    for resource in base:
        if resource.urn not in after:
            yield Change(kind="remove", type=resource.type, name=resource.name)


def _properties(before: object, after: object, path: str) -> Iterator[PropertyChange]:
    """The smallest places that differ: mappings and lists are walked, everything else is compared whole."""
    old, new = _mapping(before), _mapping(after)
    olds, news = _list(before), _list(after)
    if old is not None and new is not None:
        for key in sorted({*old, *new}):
            place = f"{path}.{key}" if path else key
            yield from _properties(old.get(key, ABSENT), new.get(key, ABSENT), place)
    elif olds is not None and news is not None:
        for index in range(max(len(olds), len(news))):
            pair = [items[index] if index < len(items) else ABSENT for items in (olds, news)]
            yield from _properties(pair[0], pair[1], f"{path}[{index}]")
    elif _differs(before, after):
        yield PropertyChange(path=path, before=before, after=after)


def _mapping(value: object) -> Mapping[str, object] | None:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def _list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _differs(before: object, after: object) -> bool:
    """Python calls 1 and True equal; JSON does not."""
    return before != after or isinstance(before, bool) is not isinstance(after, bool)


def _sealed(base: Side | None, head: Side) -> tuple[str, ...]:
    if base is None or base.sealed is None or head.sealed is None:
        return ()
    old, new = base.sealed, head.sealed
    return tuple(path for path in sorted({*old, *new}) if old.get(path) != new.get(path))
