"""One change of a group: what is done to the machines of a wave, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fullbore.provider.base import Map
from fullbore.provider.drain import Nodes
from fullbore.provider.events import Outcome
from fullbore.provider.hostinputs import some
from fullbore.provider.hoststate import awaiting_boot, failures, merged_facts, takes_out
from fullbore.provider.reboot import reboot, take_out
from fullbore.provider.rolling import UNREACHABLE
from fullbore.provider.values import plain


@dataclass
class Change:
    """`run` runs a play over the hosts of some inputs; `earlier` is {host: inputs that it had before this change}."""

    news: Map
    olds: Map
    run: Callable[[str, Map], dict[str, Outcome]]
    nodes: Nodes
    now: Callable[[], datetime]
    warn: Callable[[str], None]
    earlier: Map = field(default_factory=Map)
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    held: dict[str, str] = field(default_factory=dict[str, str])
    """Why machines wait for a reboot that was due."""

    def wave(self, hosts: tuple[str, ...]) -> dict[str, str]:
        """Why machines of a wave failed, after they were put back to what was before, where that is known."""
        bad = self._apply(self.news, hosts)
        back = {host: self.earlier[host] for host in bad if host in self.earlier}
        back = {host: spec for host, spec in back.items() if not bad[host].startswith(UNREACHABLE)}
        if not back:
            return bad
        worse = self._apply({**self.news, "hosts": back}, tuple(back))
        told = {host: f"; it could not be put back: {worse[host]}" for host in worse}
        return {
            host: why + (told.get(host, "; put back to what it held before") if host in back else "")
            for host, why in bad.items()
        }

    def _apply(self, inputs: Map, hosts: tuple[str, ...]) -> dict[str, str]:
        """Converge machines, and reboot those that need it and may be; those that are well serve again."""

        def converge(hosts: Iterable[str]) -> dict[str, str]:
            found = self.run("converge", some(inputs, tuple(hosts)))
            self.outcomes.update(found)
            return failures(inputs, found, merged_facts(self.olds, inputs, found))

        def restart(hosts: Iterable[str]) -> dict[str, str]:
            found = self.run("reboot", some(inputs, tuple(hosts)))
            return {host: outcome.failed for host, outcome in found.items() if outcome.failed}

        maintenance: Map = plain(inputs.get("maintenance") or {})
        if maintenance:
            facts = merged_facts(self.olds, inputs, self.outcomes)
            busy = {host: takes_out(inputs["hosts"][host], facts.get(host)) for host in hosts}
            needed = {host: ids for host, ids in busy.items() if ids}
            stay = take_out(needed, maintenance, self.nodes, self.now())
            self.held.update(stay)
            hosts = tuple(host for host in hosts if host not in stay)
        bad = converge(hosts) if hosts else {}
        facts = merged_facts(self.olds, inputs, self.outcomes)
        ids = {host: awaiting_boot(inputs["hosts"][host], facts.get(host)) for host in hosts if host not in bad}
        needed = {host: found for host, found in ids.items() if found}
        if needed:
            done = reboot(needed, maintenance, self.nodes, self.now(), restart, converge)
            self.held.update(done.held)
            bad |= done.failed
        problem = self.nodes.put_back(host for host in hosts if host not in bad)
        if problem:
            self.warn(problem)
        return bad


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
