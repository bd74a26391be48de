"""The lock of versions: what it holds, which combinations in it are bad, and the least change to a good one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from fullbore.catalog.instances import INSTANCES
from fullbore.catalog.versions.conflicts import CONFLICTS, Condition, Conflict
from fullbore.catalog.versions.releases import CHANGEABLE, DOCA, EFA, GOOD
from fullbore.config.models import Environment
from fullbore.config.versions import Versions
from fullbore.plan.capacity import efa_interfaces
from fullbore.plan.least_change import Cost, Lock, change_cost, least, prepare
from fullbore.plan.model import VersionPlan, VersionsPlan

Facts = Mapping[str, frozenset[str]]
"""What the machines are: `accelerator` (GPU models) and `efa_nodes` ("yes" or "no")."""
_Items = tuple[tuple[str, str], ...]
_FactItems = tuple[tuple[str, frozenset[str]], ...]
"""A lock and facts that can be looked up."""

EFA_PARTS = ("efa", "libfabric", "ofi_nccl")
BUNDLED = ("libfabric", "ofi_nccl", "nic_firmware")
"""Parts that others bring with them."""
KUBERNETES = "1.33"
"""Where neither the lock nor the cloud says."""


@lru_cache(maxsize=1024)
def parsed(version: str) -> tuple[int, ...] | None:
    """The leading numbers of a version: (2, 6, 0) of 2.6.0amzn1.0; None for a word."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in match.group().split(".")) if match else None


def compare(one: str, other: str) -> int:
    """Negative, zero or positive as one version is older than, the same as, or newer than the other; 13.0 is 13.0.0."""
    pairs = zip_longest(parsed(one) or (), parsed(other) or (), fillvalue=0)
    return next((a - b for a, b in pairs if a != b), 0)


def meets(condition: Condition, lock: Lock, facts: Facts) -> bool:
    """Whether a condition holds."""
    fact = facts.get(condition.part)
    if fact is not None:
        return not fact.isdisjoint(condition.any_of)
    value = lock.get(condition.part)
    return value is not None and _in(condition, value)


@lru_cache(maxsize=8192)
def _in(condition: Condition, value: str) -> bool:
    """Whether a release meets a condition; remembered, because a search asks the same of each release again."""
    if condition.any_of and not any(_same(value, other) for other in condition.any_of):
        return False
    if condition.not_base and compare(value, condition.not_base) == 0:
        return False
    if condition.at_least and compare(value, condition.at_least) < 0:
        return False
    return not (condition.below and compare(value, condition.below) >= 0)


def _same(one: str, other: str) -> bool:
    return one == other or (parsed(one) is not None and parsed(other) is not None and compare(one, other) == 0)


def violated(lock: Lock, facts: Facts, conflicts: Sequence[Conflict] = CONFLICTS) -> tuple[Conflict, ...]:
    """The combinations that a lock is one of."""
    return tuple(row for row in conflicts if all(meets(condition, lock, facts) for condition in row.when))


@lru_cache(maxsize=256)
def _violated(lock: _Items, facts: _FactItems) -> tuple[Conflict, ...]:
    return violated(dict(lock), dict(facts))


def broken(env: Environment) -> tuple[Conflict, ...]:
    """The combinations that an environment's lock is one of; remembered, because each rule asks for its own of them."""
    return _violated(_items(resolve(env)), _fact_items(facts_of(env)))


def _items(lock: Lock) -> _Items:
    return tuple(sorted(lock.items()))


def _fact_items(facts: Facts) -> _FactItems:
    return tuple(sorted(facts.items()))


@dataclass(frozen=True)
class Catalog:
    """What a search knows: the releases of each part, older first, and the combinations that are bad."""

    releases: Mapping[str, tuple[str, ...]]
    conflicts: tuple[Conflict, ...]


KNOWN = Catalog(releases=CHANGEABLE, conflicts=CONFLICTS)


def least_change(lock: Lock, facts: Facts, keep: frozenset[str] = frozenset(), catalog: Catalog = KNOWN) -> Lock | None:
    """The nearest good lock: fewest parts changed, then fewest of them to older releases, then fewest releases skipped.

    Parts of `keep` are not changed. None where no known combination is good.
    """
    rows = tuple(row for row in catalog.conflicts if _may_hold(row, facts))
    releases = {part: listed for part, listed in catalog.releases.items() if part not in keep}
    search = prepare(lock, rows, releases, frozenset(facts), _in, steps_between)
    changes = least(search, lambda changes: cost_of(lock, changes, catalog.releases))
    return None if changes is None else {**lock, **changes}


def _may_hold(row: Conflict, facts: Facts) -> bool:
    """Whether the machines are such that the combination can occur."""
    return all(meets(condition, {}, facts) for condition in row.when if condition.part in facts)


def cost_of(lock: Lock, changes: Lock, releases: Mapping[str, tuple[str, ...]]) -> Cost:
    """What the changes of a lock cost, in the order of `least_change`."""
    return change_cost(lock, changes, releases, steps_between)


def steps_between(old: str, new: str, releases: tuple[str, ...]) -> int:
    """Releases from the old to the new one; negative where it is older. An old one that is not listed is between."""
    if old in releases:
        return releases.index(new) - releases.index(old)
    older = sum(parsed(release) is not None and compare(release, old) < 0 for release in releases)
    place = releases.index(new)
    return place - older + 1 if place >= older else place - older


def facts_of(env: Environment) -> Facts:
    """What the machines of an environment are."""
    site = [group.accelerator for group in env.site.groups.values()] if env.site else []
    groups = list(env.cloud.node_groups.values()) if env.cloud else []
    rows = [INSTANCES[group.instance_type] for group in groups if group.instance_type in INSTANCES]
    accelerators = {name for name in (*site, *(row.accelerator for row in rows)) if name}
    efa = any(efa_interfaces(group) for group in groups) or bool(env.site and env.site.fabric == "efa")
    return {"accelerator": frozenset(accelerators), "efa_nodes": frozenset({"yes" if efa else "no"})}


def given_of(env: Environment) -> dict[str, str]:
    """The parts that an environment locks itself; what is true or false there is yes or no here."""
    given = ((part, value) for part, value in env.versions or () if value is not None)
    return {part: {True: "yes", False: "no"}.get(value, str(value)) for part, value in given}


def resolve(env: Environment) -> dict[str, str]:
    """The whole lock: the parts given, and the others chosen to go with them where that is possible."""
    return _completed(env, given_of(env))


def proposal(env: Environment) -> Lock | None:
    """The least changes that make the lock of an environment good; None where none do.

    What the EFA installer and DOCA-OFED bring follows them: only where that is not good it is changed by itself.
    """
    lock, facts, given = resolve(env), facts_of(env), given_of(env)
    following = {part: version for part, version in lock.items() if part in given or part not in BUNDLED}
    for start in (following, lock):
        good = nearest(start, facts)
        changes = {part: version for part, version in (good or {}).items() if version != start[part]}
        if changes and not violated(_completed(env, {**given, **changes}), facts):
            return changes
    return None


def _completed(env: Environment, given: Mapping[str, str]) -> dict[str, str]:
    kubernetes = env.cloud.kubernetes_version if env.cloud else KUBERNETES
    return dict(_complete(_items(given), kubernetes, _fact_items(facts_of(env))))


@lru_cache(maxsize=256)
def _complete(given_items: _Items, kubernetes: str, fact_items: _FactItems) -> _Items:
    given, facts = dict(given_items), dict(fact_items)
    lock = {**GOOD, "kubernetes": kubernetes, **given}
    lock.update({part: value for part, value in _bundled(lock).items() if part not in given})
    unused = {"ofed_version"} if lock["ofed"] == "inbox" else set[str]()
    unused |= set(EFA_PARTS) if "yes" not in facts["efa_nodes"] else set()
    lock = {part: value for part, value in lock.items() if part in given or part not in unused}
    better = nearest(lock, facts, frozenset(given))
    return tuple((better or lock).items())


def _bundled(lock: Lock) -> dict[str, str]:
    """What the EFA installer and DOCA-OFED of a lock bring with them."""
    efa = next((row for row in EFA if _same(row.version, lock["efa"])), None)
    doca = next((row for row in DOCA if lock["ofed"] == "doca_ofed" and _same(row.version, lock["ofed_version"])), None)
    brought = {"libfabric": efa.libfabric, "ofi_nccl": efa.ofi_nccl} if efa else {}
    brought["nic_firmware"] = dict(doca.firmware).get(lock.get("nic", "")) if doca else None
    return {part: value for part, value in brought.items() if value}


def nearest(lock: Lock, facts: Facts, keep: frozenset[str] = frozenset()) -> Lock | None:
    """`least_change` with the catalog, remembered: several rules ask the same.

    What kept parts and the machines alone decide is left as it is: no choice of the others mends it.
    """
    found = _nearest(_items(lock), _fact_items(facts), keep)
    return None if found is None else dict(found)


@lru_cache(maxsize=64)
def _nearest(lock: _Items, facts: _FactItems, keep: frozenset[str]) -> _Items | None:
    open_rows = tuple(row for row in CONFLICTS if not {c.part for c in row.when} <= keep | {part for part, _ in facts})
    found = least_change(dict(lock), dict(facts), keep, Catalog(releases=CHANGEABLE, conflicts=open_rows))
    return None if found is None else tuple(found.items())


def oldest_driver(lock: Lock, facts: Facts) -> str:
    """The oldest known GPU driver that is no error with the other parts where the locked one is none; else that one."""
    allowed = set(violated(lock, facts, _DRIVER_ERRORS))
    others = {driver: {**lock, "gpu_driver": driver} for driver in CHANGEABLE["gpu_driver"]}
    good = [driver for driver, other in others.items() if set(violated(other, facts, _DRIVER_ERRORS)) <= allowed]
    return min([*good, lock["gpu_driver"]], key=lambda driver: parsed(driver) or ())


_DRIVER_ERRORS = tuple(
    row for row in CONFLICTS if row.severity == "error" and any(c.part == "gpu_driver" for c in row.when)
)
"""Errors that another driver may make or mend."""


def versions_plan(env: Environment) -> VersionsPlan:
    """The lock that machines and images are built from, in the order of the configuration."""
    lock, given = resolve(env), given_of(env)
    return VersionsPlan(
        oldest_driver=oldest_driver(lock, facts_of(env)),
        parts=tuple(
            VersionPlan(part=part, version=lock[part], given=part in given)
            for part in Versions.model_fields
            if part in lock
        ),
    )
