"""`fullbore:metal:HostGroup`: machines of one kind in one rack, converged by Ansible.

State: the outputs are the inputs with each host's `settings` replaced by what the host reported, and

    facts    {HOST: {settings: {ID: value}, reportedAt, signature}}   as the host signed them; and `content`, the
             digest of roles and agent that it last converged with
    failed   {HOST: reason}                                           hosts that the last run did not finish
    pending  {HOST: reason}                                           hosts that it did not touch, though it was to

So a diff of old outputs against new inputs shows what a machine holds and what it shall hold.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final, cast

from fullbore.provider.base import (
    UNKNOWN,
    Check,
    Created,
    Diff,
    Map,
    PartialFailure,
    ProviderError,
    Read,
    Request,
)
from fullbore.provider.events import Fold, Outcome
from fullbore.provider.facts import age, age_s, from_module, setting_changes, trusted
from fullbore.provider.hostinputs import DEFAULTS, check_inputs, host_variables, inventory_groups, some
from fullbore.provider.hoststate import failures, foreseen, merged_facts, outdated, outputs_of, with_settings
from fullbore.provider.rolling import Member, Pools, Rolled, roll
from fullbore.provider.runner import Job, Runner
from fullbore.provider.values import differences, has_unknown, join_path, plain
from fullbore.waves import Left

MAX_LINES: Final = 40
"""Lines that one diff writes; `--diff` shows the rest."""

FRESH_S: Final = 60
"""Facts younger than this need no word about their age."""

_OWN_PATHS: Final = ("hosts", "facts", "failed", "pending", "rolling")
"""Compared host by host, or no change by themselves: how a change would go over the machines."""
_VARS_OF_SETTINGS: Final = ("fullbore_settings", "fullbore_document_text")
"""Variables that only repeat what the settings say: their change shows there."""


class HostGroups:
    """The resource's operations."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._logged: set[tuple[str, str]] = set()
        self._live: dict[str, dict[str, Outcome]] = {}
        self._lock = threading.Lock()
        self._pools = Pools()

    def stop(self) -> None:
        self._runner.stop()

    def check(self, r: Request) -> Check:
        inputs = {**DEFAULTS, **r.news}
        return Check(inputs, check_inputs(inputs))

    def diff(self, r: Request) -> Diff:
        changes: dict[str, str] = differences(_without_own(r.old_inputs), _without_own(r.news))
        if r.news.get("hosts") is UNKNOWN:
            return Diff(changes | {"hosts": "update"})
        self._pools.note(_member(r), len(r.olds.get("failed", {})))
        lines: list[str] = []
        for path, (kind, line) in self._all_changes(r).items():
            changes[path] = kind
            lines += [line] if line else []
        if "content" in changes:
            lines.append("the roles or the agent changed: every role runs again on every host")
        self._say(r, lines)
        return Diff(changes)

    def create(self, r: Request) -> Created:
        if r.preview:
            return Created("", foreseen(r.news))
        id = f"{plain(r.news['rack'])}/{plain(r.news['group'])}"
        return Created(id, self._converge(r, id, r.news, {}, Left(idle=tuple(sorted(r.news["hosts"])))))

    def update(self, r: Request) -> Map:
        if r.preview:
            return foreseen(r.news)
        hosts = frozenset(r.news["hosts"])
        gone = sorted(frozenset(r.olds.get("hosts", {})) - hosts)
        if gone:
            r.log("info", f"no longer managed, and left as they are: {', '.join(gone)}")
        for host, ids in sorted(_unmanaged(r.old_inputs["hosts"], r.news["hosts"]).items()):
            r.log("info", f"{host}: no longer managed, and left in force: {', '.join(ids)}")
        return self._converge(r, r.id, r.news, r.olds, self._left(r))

    def read(self, r: Request) -> Read:
        if not r.inputs.get("hosts"):
            raise ProviderError(
                f"{r.name}: a host group is not imported: `up` takes over machines as they are; drop the import option"
            )
        outcomes = self._run(r, "facts", r.inputs)
        lost = {host: outcome.failed for host, outcome in outcomes.items() if outcome.facts is None}
        if lost:
            reasons = "; ".join(f"{host}: {reason}" for host, reason in sorted(lost.items()))
            r.log("warning", f"kept the last known facts of {len(lost)} of {len(outcomes)} hosts: {reasons}")
        facts = merged_facts(r.olds, r.inputs, outcomes)
        failed = {**r.olds.get("failed", {}), **lost}
        # As inputs, what the machines hold: the next diff is then from that to what the program wants.
        inputs = {**r.inputs, "hosts": with_settings(r.inputs["hosts"], facts, keep=True)}
        return Read(r.id, inputs, outputs_of(r.inputs, facts, failed, r.olds.get("pending", {})))

    def delete(self, r: Request) -> None:
        hosts = sorted(r.old_inputs["hosts"])
        if not plain(r.old_inputs.get("wipe")):
            r.log("info", f"left as they are, with what was installed: {', '.join(hosts)}")
            return
        outcomes = self._run(r, "release", r.old_inputs)
        failed = [f"{host}: {outcome.failed}" for host, outcome in sorted(outcomes.items()) if outcome.failed]
        if failed:
            raise ProviderError(f"{len(failed)} of {len(hosts)} hosts were not released: {'; '.join(failed)}")

    def _all_changes(self, r: Request) -> dict[str, tuple[str, str]]:
        """{property path: (kind, line)} of every host that was, is or shall be here. An empty line is not shown."""
        changes: dict[str, tuple[str, str]] = {}
        for found in self._host_changes(r).values():
            changes |= found
        for host in sorted(r.old_inputs.get("hosts", {})):
            if host not in r.news["hosts"]:
                changes[join_path("hosts", host)] = ("delete", f"{host}: no longer managed")
        for host, reason in sorted(r.olds.get("failed", {}).items()):
            line = f"{host}: did not finish last time: {plain(reason)}"
            changes[join_path("failed", host)] = ("delete", line)
        for host, reason in sorted(r.olds.get("pending", {}).items()):
            line = f"{host}: not touched last time: {plain(reason)}"
            changes[join_path("pending", host)] = ("delete", line)
        return changes

    def _host_changes(self, r: Request) -> dict[str, dict[str, tuple[str, str]]]:
        """{host: {property path: (kind, line)}} of the hosts that shall be here."""
        found: dict[str, dict[str, tuple[str, str]]] = {}
        old_hosts: Map = r.old_inputs.get("hosts", {})
        facts = self._facts(r)
        for host, spec in sorted(r.news["hosts"].items()):
            path = join_path("hosts", host)
            if host not in old_hosts:
                found[host] = {path: ("add", f"{host}: new here")}
            elif spec is UNKNOWN:
                found[host] = {path: ("update", f"{host}: not known yet")}
            else:
                wanted = _wanted_changes(host, facts.get(host), spec["settings"])
                found[host] = _spec_changes(host, old_hosts[host], spec) | wanted
        return found

    def _left(self, r: Request) -> Left:
        """The hosts that an update changes, of those that the group shall have."""
        failed, hosts = r.olds.get("failed", {}), r.news["hosts"]
        changed = {host for host, changes in self._host_changes(r).items() if changes}
        changed |= {*failed, *r.olds.get("pending", {}), *outdated(r.olds, plain(r.news["content"]))} & set(hosts)
        if not plain(r.news.get("rolling")):
            return Left(idle=tuple(sorted(changed)))
        idle = {host for host in changed if host in failed or host not in r.olds.get("facts", {})}
        return Left(idle=tuple(sorted(idle)), serving=tuple(sorted(changed - idle)))

    def _facts(self, r: Request) -> dict[str, Map]:
        """The facts that a diff goes by: those in state whose signature holds, or live ones with FULLBORE_LIVE=1."""
        if os.environ.get("FULLBORE_LIVE") == "1" and not has_unknown(r.news):
            return {host: from_module(o.facts) for host, o in self._ask_once(r).items() if o.facts is not None}
        hosts: Map = r.old_inputs.get("hosts", {})
        facts: dict[str, Map] = r.olds.get("facts", {})
        good = {h: f for h, f in facts.items() if h in hosts and trusted(h, str(plain(hosts[h].get("hostKey"))), f)}
        bad = sorted(host for host in facts if host in hosts and host not in good)
        if bad:
            self._once(r, "warning", f"the recorded facts of {', '.join(bad)} are not signed by the host: not used")
        return good

    def _ask_once(self, r: Request) -> dict[str, Outcome]:
        """Live facts, asked for once in this process: the engine wants every diff twice."""
        with self._lock:
            if r.urn not in self._live:
                self._live[r.urn] = self._run(r, "facts", r.news)
            return self._live[r.urn]

    def _say(self, r: Request, lines: list[str]) -> None:
        for line in lines[:MAX_LINES]:
            self._once(r, "info", line)
        if len(lines) > MAX_LINES:
            self._once(r, "info", f"and {len(lines) - MAX_LINES} more changes; --diff shows them all")
        if lines and os.environ.get("FULLBORE_LIVE") != "1":
            self._say_age(r)

    def _say_age(self, r: Request) -> None:
        """How old the oldest facts are that a diff went by, unless they are fresh."""
        facts: dict[str, Map] = r.olds.get("facts", {})
        times = sorted(str(fact.get("reportedAt")) for fact in facts.values())
        seconds = age_s(times[0]) if times else 0
        if seconds is None or not 0 <= seconds < FRESH_S:
            self._once(r, "info", f"compared with what the hosts reported {age(seconds)}")

    def _once(self, r: Request, severity: Any, line: str) -> None:
        """Log a line unless this process said it about this resource before."""
        if (r.urn, line) not in self._logged:
            self._logged.add((r.urn, line))
            r.log(severity, line)

    def _converge(self, r: Request, id: str, news: Map, olds: Map, left: Left) -> Map:
        """The outputs after every wave. Raises PartialFailure where too many failed, or some were not touched."""
        content, outcomes = plain(news["content"]), dict[str, Outcome]()
        force = outdated(olds, content)

        def change(wave: tuple[str, ...]) -> dict[str, str]:
            found = self._run(r, "converge", some(news, wave), force)
            outcomes.update(found)
            return failures(news, found, merged_facts(olds, news, found))

        before = {host: str(plain(why)) for host, why in olds.get("failed", {}).items() if host in news["hosts"]}
        rolled = roll(self._pools, _member(r), left, change, before)
        facts = merged_facts(olds, news, outcomes)
        done = outcomes.keys() - rolled.failed.keys()
        facts = {host: {**fact, "content": content} if host in done else fact for host, fact in facts.items()}
        with self._lock:
            self._live.pop(r.urn, None)
        return self._ended(r, id, rolled, outputs_of(news, facts, rolled.failed, rolled.pending))

    def _ended(self, r: Request, id: str, rolled: Rolled, outputs: Map) -> Map:
        reasons = [f"{host}: {reason}" for host, reason in sorted(rolled.failed.items())]
        allowed = int(plain(r.news.get("maxFailures", 0)))
        count = f"{len(rolled.failed)} of {len(r.news['hosts'])} hosts failed"
        untouched = [f"{', '.join(sorted(rolled.pending))}: not touched: {why}" for why in {*rolled.pending.values()}]
        if len(rolled.failed) > allowed:
            reasons = [f"{count}, but maxFailures is {allowed}; the next up goes on", *reasons, *untouched]
            raise PartialFailure(id, outputs, r.news, reasons)
        if rolled.pending:
            reasons = [f"the change stopped; the next up goes on; {count}", *reasons, *untouched]
            raise PartialFailure(id, outputs, r.news, reasons)
        if reasons:
            r.log("warning", f"{count} (maxFailures is {allowed}); the next up tries again")
        for reason in reasons:
            r.log("warning", reason)
        return outputs

    def _run(self, r: Request, play: Any, inputs: Map, force: frozenset[str] = frozenset()) -> dict[str, Outcome]:
        """Run a play over the hosts, with its progress in the engine's output."""
        hosts: dict[str, Map] = plain(inputs["hosts"])
        job = Job(
            play=play,
            hosts={host: host_variables(plain(inputs), host, host in force) for host in hosts},
            groups=inventory_groups(plain(inputs)),
            timeout_s=r.timeout_s,
        )
        fold = Fold()

        def on_event(event: Map) -> None:
            fold.feed(event)
            if event["event"] == "ok" and play != "facts":
                where = ": ".join(part for part in (event["role"], event["task"]) if part)
                r.log("info", f"{event['host']}: {where}{' (changed)' if event['changed'] else ''}", ephemeral=True)
            elif event["event"] in ("failed", "unreachable"):
                r.log("info", f"{event['host']}: {event['event']}: {event['message']}", ephemeral=True)

        self._runner.run(job, on_event)
        return fold.outcomes(hosts)


def _member(r: Request) -> Member:
    """The group's place among those that change."""
    rolling: Map = plain(r.news.get("rolling") or {})
    limit = int(plain(r.news.get("maxFailures", 0)))
    if not rolling:
        return Member(urn=r.urn, max_failures=limit)
    spare, at_once = int(rolling["spare"]), int(rolling["atOnce"])
    return Member(urn=r.urn, pool=str(rolling["pool"]), at_once=at_once, spare=spare, max_failures=limit)


def _without_own(inputs: Map) -> Map:
    return {key: value for key, value in inputs.items() if key not in _OWN_PATHS}


def _spec_changes(host: str, old: Map, new: Map) -> dict[str, tuple[str, str]]:
    """Changes of how a host is reached and of its variables; its settings are compared with facts instead."""
    found = differences(_spec(old), _spec(new), join_path("hosts", host))
    settings = new["settings"]
    for id in () if settings is UNKNOWN else old.get("settings", {}):
        if id not in settings:
            found[join_path("hosts", host, "settings", id)] = "delete"
    return {path: (kind, f"{path.removeprefix('hosts.')}: {kind}") for path, kind in found.items()}


_LINES: Final = ("limits", "nccl", "kubelet", "extra")
"""Kinds of setting that go with their line: what reads them at its next start no longer finds it. A kernel setting's
running value, a unit, a file or what a NIC was told stays."""


def _unmanaged(olds: Map, news: Map) -> dict[str, list[str]]:
    """{host: settings that the plan no longer has, and that nothing takes back}."""
    found: dict[str, list[str]] = {}
    for host in olds.keys() & news.keys():
        settings = plain(news[host]["settings"])
        gone = [id for id in plain(olds[host]["settings"]) if id not in settings and id.split(".")[0] not in _LINES]
        if gone:
            found[host] = sorted(gone)
    return found


def _wanted_changes(host: str, facts: Map | None, wanted: Any) -> dict[str, tuple[str, str]]:
    if wanted is UNKNOWN:
        return {join_path("hosts", host, "settings"): ("update", f"{host}: settings are not known yet")}
    return _fact_changes(host, facts, wanted)


def _fact_changes(host: str, facts: Map | None, wanted: Map) -> dict[str, tuple[str, str]]:
    """Changes of settings; where nothing was reported, one line says so for all of them."""
    changes = setting_changes(host, (facts or {}).get("settings", {}), wanted)
    if facts is not None or not changes:
        return changes
    line = f"{host}: no facts that could be trusted: all {len(changes)} settings are unknown"
    return {path: (kind, line if number == 0 else "") for number, (path, (kind, _)) in enumerate(changes.items())}


def _spec(spec: Map) -> Map:
    if spec.get("vars") is UNKNOWN:
        return {**{key: value for key, value in spec.items() if key != "settings"}, "vars": UNKNOWN}
    variables = cast("Map", spec.get("vars") or {})
    kept = {key: value for key, value in variables.items() if key not in _VARS_OF_SETTINGS}
    return {**{key: value for key, value in spec.items() if key not in ("settings", "vars")}, "vars": kept}
