"""One change of a group: what is done to the machines of a wave, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fullbore.provider.base import Map
from fullbore.provider.events import Outcome
from fullbore.provider.hostinputs import some
from fullbore.provider.hoststate import awaiting_boot, failures, is_taken_out_for, merged_facts, takes_out
from fullbore.provider.reboot import Rebooted, Taken, Upkeep
from fullbore.provider.rolling import UNREACHABLE
from fullbore.provider.values import plain


@dataclass(frozen=True)
class _Applied:
    """How machines of a wave ended that are not as they shall be."""

    failed: dict[str, str]
    lost: dict[str, str]
    """Why machines are out of service that the change itself did not fail on."""
    held: dict[str, str]
    """Why machines wait for a reboot that was due."""


@dataclass
class Change:
    """`run` runs a play over the hosts of some inputs; `earlier` is {host: inputs that it had before this change}."""

    news: Map
    olds: Map
    run: Callable[[str, Map], dict[str, Outcome]]
    upkeep: Upkeep
    earlier: Map = field(default_factory=Map)
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    held: dict[str, str] = field(default_factory=dict[str, str])
    """Why machines wait for a reboot that was due."""
    untried: set[str] = field(default_factory=set[str])
    """Machines that say nothing of the change: they were not converged, or not rebooted though the window was open."""

    def wave(self, hosts: tuple[str, ...]) -> dict[str, str]:
        """Why machines of a wave failed, after they were put back to what was before, where that is known."""
        done = self._apply(self.news, hosts)
        bad = done.failed
        self.held.update(done.held)
        back = {host: self.earlier[host] for host in bad if host in self.earlier}
        back = {host: spec for host, spec in back.items() if not bad[host].startswith(UNREACHABLE)}
        if not back:
            return bad | done.lost
        again = self._apply({**self.news, "hosts": back}, tuple(back))
        told = {
            host: f"; it could not be put back: {why}" for host, why in (again.held | again.lost | again.failed).items()
        }
        return done.lost | {
            host: why + (told.get(host, "; put back to what it held before") if host in back else "")
            for host, why in bad.items()
        }

    def _apply(self, inputs: Map, hosts: tuple[str, ...]) -> _Applied:
        """Converge machines, and reboot those that need it and may be; those that are well serve again."""

        def converge(hosts: Iterable[str]) -> dict[str, str]:
            found = self.run("converge", some(inputs, tuple(hosts)))
            self.outcomes.update(found)
            return failures(inputs, found, merged_facts(self.olds, inputs, found))

        def restart(hosts: Iterable[str]) -> dict[str, str]:
            found = self.run("reboot", some(inputs, tuple(hosts)))
            return {host: outcome.failed for host, outcome in found.items() if outcome.failed}

        before = merged_facts(self.olds, inputs, self.outcomes)
        taken = Taken()
        if plain(inputs.get("maintenance")):
            busy = {host: takes_out(inputs["hosts"][host], before.get(host)) for host in hosts}
            taken = self.upkeep.take_out({host: ids for host, ids in busy.items() if ids})
            hosts = tuple(host for host in hosts if host not in {*taken.held, *taken.lost})
        bad = converge(hosts) if hosts else {}
        facts = merged_facts(self.olds, inputs, self.outcomes)
        ids = {host: awaiting_boot(inputs["hosts"][host], facts.get(host)) for host in hosts if host not in bad}
        needed = {host: found for host, found in ids.items() if found}
        done = self.upkeep.reboot(needed, restart, converge) if needed else Rebooted()
        self.untried |= {*taken.held, *(done.held if self.upkeep.began_open else ())}
        bad |= done.failed
        lost = taken.lost | done.lost | self._unfit(done.held, needed, before, facts)
        lost |= self.upkeep.put_back(host for host in hosts if host not in {*bad, *lost})
        held = {host: why for host, why in (taken.held | done.held).items() if host not in lost}
        return _Applied(bad, lost, held)

    def _unfit(self, held: Map, needed: Map, before: Map, after: Map) -> dict[str, str]:
        """Machines that stay out until they boot, for this change or an earlier one took what they serve by."""
        waiting = {host for host in held if any(map(is_taken_out_for, needed[host]))}
        if not waiting:
            return {}
        mine = self.upkeep.out
        return {
            host: f"stays out of service: {held[host]}"
            for host in sorted(waiting & self.upkeep.are_out())
            if host not in mine or _served_by(before, host) != _served_by(after, host)
        }


def _served_by(facts: Map, host: str) -> Map:
    """The settings of a machine that it is taken out of service for, when they change."""
    settings: Map = facts.get(host, {}).get("settings", {})
    return {id: plain(value) for id, value in settings.items() if is_taken_out_for(id)}


def earlier_of(news: Map, old_inputs: Map, olds: Map) -> Map:
    """{host: inputs of before the change}; of a machine that a change failed on, those of before its first attempt."""
    kept: Map = olds.get("earlier") or {}
    found: Map = {}
    for host, spec in news["hosts"].items():
        old: Any = kept.get(host) or old_inputs.get("hosts", {}).get(host)
        if old and plain(old["serial"]) == plain(spec["serial"]) and plain(old["vars"]) != plain(spec["vars"]):
            settings = {each["id"]: each["want"] for each in old["vars"]["fullbore_settings"]}
            found[host] = {**spec, "vars": old["vars"], "settings": settings}
    return found


def still_earlier(earlier: Map, failed: Mapping[str, str]) -> Map:
    """What of it the next update needs."""
    return {host: spec for host, spec in earlier.items() if host in failed}
