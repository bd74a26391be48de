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
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
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
from fullbore.provider.change import Change, earlier_of, still_earlier
from fullbore.provider.drain import Failed, Nodes, nodes_of
from fullbore.provider.events import Fold, Outcome
from fullbore.provider.facts import age, age_s, from_module, setting_changes, trusted
from fullbore.provider.hostinputs import DEFAULTS, check_inputs, host_variables, inventory_groups, some
from fullbore.provider.hoststate import (
    awaiting_boot,
    foreseen,
    merged_facts,
    outdated,
    outputs_of,
    replaced,
    takes_out,
    with_settings,
)
from fullbore.provider.reboot import Upkeep, needs
from fullbore.provider.rolling import LEFT_OUT, UNREACHABLE, Member, Pools, Rolled, roll
from fullbore.provider.runner import Job, Runner
from fullbore.provider.takeover import declared_inputs, refuse, report
from fullbore.provider.values import differences, has_unknown, join_path, plain
from fullbore.provider.window import Window, waits, window_of
from fullbore.waves import Left

MAX_LINES: Final = 40
"""Lines that one diff writes; `--diff` shows the rest."""

FRESH_S: Final = 60
"""Facts younger than this need no word about their age."""

_OWN_PATHS: Final = ("hosts", "facts", "failed", "pending", "rolling", "maintenance")
"""Compared host by host, or no change by themselves: how and when a change would go over the machines."""
_VARS_OF_SETTINGS: Final = ("fullbore_settings", "fullbore_document_text", "fullbore_files")
"""Variables that only repeat what the settings say: their change shows there."""


def _now() -> datetime:
    return datetime.now(UTC)


class HostGroups:
    """The resource's operations."""

    def __init__(
        self,
        runner: Runner,
        now: Callable[[], datetime] = _now,
        nodes: Callable[[str], Nodes] = nodes_of,
        config: Callable[[], Map] = dict,
    ) -> None:
        """`now` is the clock; `nodes` gives the nodes of the cluster that a kubeconfig names; `config` the stack's."""
        self._runner, self._now, self._nodes, self._config = runner, now, nodes, config
        self._logged: set[tuple[str, str]] = set()
        self._live: dict[str, dict[str, Outcome]] = {}
        self._lock = threading.Lock()
        self._pools = Pools()
        self._stopped = False
        self._clusters: list[Nodes] = []

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            clusters = tuple(self._clusters)
        for cluster in clusters:
            cluster.stop()
        self._runner.stop()

    def check(self, r: Request) -> Check:
        inputs = {**DEFAULTS, **r.news}
        return Check(inputs, check_inputs(inputs))

    def diff(self, r: Request) -> Diff:
        changes: dict[str, str] = differences(_without_own(r.old_inputs), _without_own(r.news))
        if r.news.get("hosts") is UNKNOWN:
            return Diff(changes | {"hosts": "update"})
        r = _as_known(r)
        self._pools.note(_member(r.urn, r.news), len(r.olds.get("failed", {})))
        lines: list[str] = []
        facts = self._facts(r)
        for path, (kind, line) in self._all_changes(r, facts).items():
            changes[path] = kind
            lines += [line] if line else []
        lines += [f"{host}: {line}" for host, line in self._reboots(r, facts).items()]
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
        r = _as_known(r)
        return self._converge(r, r.id, r.news, r.olds, self._left(r))

    def read(self, r: Request) -> Read:
        imported = not r.inputs.get("hosts")
        if imported:
            r = replace(r, inputs=declared_inputs(self._config(), r.id), olds={})
        outcomes = self._run(r, "facts", r.inputs)
        if imported:
            refuse(r.name, r.inputs, outcomes)
            for line in report(r.inputs, outcomes):
                self._once(r, "info", line)
        lost = {host: outcome.failed for host, outcome in outcomes.items() if outcome.facts is None}
        if lost:
            reasons = "; ".join(f"{host}: {reason}" for host, reason in sorted(lost.items()))
            kept = "nothing is known" if imported else "kept the last known facts"
            r.log("warning", f"{kept} of {len(lost)} of {len(outcomes)} hosts: {reasons}")
        facts = merged_facts(r.olds, r.inputs, outcomes)
        try:
            out = self._nodes(plain(r.inputs.get("maintenance") or {}).get("kubeconfig", "")).drained()
        except Failed as error:
            out = set[str]()
            r.log("warning", f"hosts that a reboot left out of service are not known: {error}")
        failed = {**r.olds.get("failed", {})}
        for host, why in (lost | dict.fromkeys(out & outcomes.keys(), LEFT_OUT)).items():
            if host not in failed or _says_nothing(failed[host]):
                failed[host] = why
        self._pools.note(_member(r.urn, r.inputs), len(failed))
        # As inputs, what the machines hold: the next diff is then from that to what the program wants. Those of an
        # import are checked, and a rollback goes by them: what a machine held by chance is nothing to go back to.
        hosts = r.inputs["hosts"] if imported else with_settings(r.inputs["hosts"], facts, keep=True)
        inputs = {**r.inputs, "hosts": hosts}
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

    def _all_changes(self, r: Request, facts: Mapping[str, Map]) -> dict[str, tuple[str, str]]:
        """{property path: (kind, line)} of every host that was, is or shall be here. An empty line is not shown."""
        changes: dict[str, tuple[str, str]] = {}
        for found in self._host_changes(r, facts).values():
            changes |= found
        for host in sorted(r.old_inputs.get("hosts", {})):
            if host not in r.news["hosts"]:
                changes[join_path("hosts", host)] = ("delete", f"{host}: no longer managed")
        for host, reason in sorted(r.olds.get("failed", {}).items()):
            line = f"{host}: did not finish last time: {plain(reason)}"
            changes[join_path("failed", host)] = ("delete", line)
        for host, reason in sorted(r.olds.get("pending", {}).items()):
            line = f"{host}: pending: {plain(reason)}"
            changes[join_path("pending", host)] = ("delete", line)
        return changes

    def _host_changes(self, r: Request, facts: Mapping[str, Map]) -> dict[str, dict[str, tuple[str, str]]]:
        """{host: {property path: (kind, line)}} of the hosts that shall be here."""
        found: dict[str, dict[str, tuple[str, str]]] = {}
        old_hosts: Map = r.old_inputs.get("hosts", {})
        another = replaced(r.old_inputs, r.news)
        for host, spec in sorted(r.news["hosts"].items()):
            path = join_path("hosts", host)
            if host not in old_hosts:
                found[host] = {path: ("add", f"{host}: new here")}
            elif spec is UNKNOWN:
                found[host] = {path: ("update", f"{host}: not known yet")}
            elif host in another:
                serials = f"machine {plain(old_hosts[host]['serial'])} is replaced by {plain(spec['serial'])}"
                found[host] = {join_path("hosts", host, "serial"): ("update", f"{host}: {serials}")}
            else:
                wanted = _wanted_changes(host, facts.get(host), spec["settings"])
                found[host] = _spec_changes(host, old_hosts[host], spec) | wanted
        return found

    def _left(self, r: Request) -> Left:
        """The hosts that an update changes, of those that the group shall have."""
        failed, hosts = r.olds.get("failed", {}), r.news["hosts"]
        closed = bool(waits(_window(r.news), self._now()))
        facts = self._facts(r)
        changed = {
            host
            for host, changes in self._host_changes(r, facts).items()
            if changes and not (closed and changes.keys() <= _waiting_paths(host, hosts[host], facts.get(host)))
        }
        changed |= {*failed, *outdated(r.olds, plain(r.news["content"]))} & set(hosts)
        if closed and plain(r.news.get("maintenance")):
            changed -= {host for host in changed if takes_out(hosts[host], facts.get(host))}
        if not plain(r.news.get("rolling")):
            return Left(idle=tuple(sorted(changed)))
        known = r.olds.get("facts", {})
        idle = {h for h in changed if h not in known or (h in failed and not _says_nothing(failed[h]))}
        out = {host for host in changed - idle if plain(failed.get(host)) == LEFT_OUT}
        serving = changed - idle - out
        return Left(idle=tuple(sorted(idle)), out=tuple(sorted(out)), serving=tuple(sorted(serving)))

    def _reached(
        self, r: Request, news: Map, left: Left, failed: dict[str, str], upkeep: Upkeep
    ) -> tuple[Left, dict[str, str]]:
        """Of hosts that were not reached before: those that answer now may serve, the others stay failed."""
        doubtful = tuple(host for host in left.serving if host in failed)
        if not doubtful:
            return left, failed
        found = self._run(r, "facts", some(news, doubtful))
        away = {host: outcome.failed or "" for host, outcome in found.items() if outcome.facts is None}
        out = tuple(host for host in sorted(upkeep.are_out() & {*doubtful}) if host not in away)
        known = {host: why for host, why in failed.items() if host in out or host not in doubtful}
        rest = left.without((*away, *out))
        return replace(rest, out=(*rest.out, *out)), known | away

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

    def _reboots(self, r: Request, facts: Mapping[str, Map]) -> dict[str, str]:
        """{host: why it needs a reboot, and when it gets it} as far as it is known before the roles run."""
        why = waits(_window(r.news), self._now()) or "this update does it"
        found: dict[str, str] = {}
        for host, spec in r.news["hosts"].items():
            if spec is UNKNOWN or has_unknown(spec):
                continue
            later = [s["id"] for s in plain(spec["vars"])["fullbore_settings"] if s.get("reboot")]
            have = facts.get(host, {}).get("settings", {})
            ids = [id for id in later if id in have and setting_changes(host, have, {id: spec["settings"][id]})]
            if ids:
                found[host] = needs(ids, why)
        return found

    def _converge(self, r: Request, id: str, news: Map, olds: Map, left: Left) -> Map:
        """The outputs after every wave. Raises PartialFailure where too many failed, or some were not touched."""
        content = plain(news["content"])
        force = outdated(olds, content)
        rolls_back = bool(plain(news.get("rolling") or {}).get("rollBack"))
        change = Change(
            news=news,
            olds=olds,
            run=lambda play, inputs: self._run(r, play, inputs, force),
            upkeep=self._upkeep(news, olds),
            earlier=earlier_of(news, r.old_inputs, olds) if rolls_back else {},
        )
        before = {host: str(plain(why)) for host, why in olds.get("failed", {}).items() if host in news["hosts"]}
        left, before = self._reached(r, news, left, before, change.upkeep)
        member = replace(_member(r.urn, r.news), reboots=change.upkeep.began_open)
        rolled = roll(self._pools, member, left, change.wave, before, change.untried, change.upkeep.out)
        facts = merged_facts(olds, news, change.outcomes)
        done = change.outcomes.keys() - rolled.failed.keys()
        facts = {host: {**fact, "content": content} if host in done else fact for host, fact in facts.items()}
        with self._lock:
            self._live.pop(r.urn, None)
        held = self._waiting(news, facts) | change.held
        held = {host: why for host, why in held.items() if host not in {*rolled.failed, *rolled.pending}}
        for host, why in sorted(held.items()):
            r.log("warning", f"{host}: {why}")
        outputs = outputs_of(news, facts, rolled.failed, held | rolled.pending)
        earlier = still_earlier(change.earlier, rolled.failed)
        return self._ended(r, id, rolled, {**outputs, "earlier": earlier} if earlier else outputs)

    def _upkeep(self, news: Map, olds: Map) -> Upkeep:
        maintenance: Map = plain(news.get("maintenance") or {})
        nodes = self._nodes(maintenance.get("kubeconfig", ""))
        with self._lock:
            self._clusters.append(nodes)
        left_out = [host for host, why in olds.get("failed", {}).items() if plain(why) == LEFT_OUT]
        return Upkeep(maintenance, nodes, self._now, lambda: self._stopped, left_out)

    def _waiting(self, news: Map, facts: Mapping[str, Map]) -> dict[str, str]:
        """{host: why it still waits for a reboot}"""
        why, window = waits(_window(news), self._now()) or "the next up does it", plain(news.get("maintenance"))
        ids = {
            host: awaiting_boot(spec, facts.get(host)) or (takes_out(spec, facts.get(host)) if window else [])
            for host, spec in news["hosts"].items()
        }
        return {host: needs(found, why) for host, found in ids.items() if found}

    def _ended(self, r: Request, id: str, rolled: Rolled, outputs: Map) -> Map:
        reasons = [f"{host}: {reason}" for host, reason in sorted(rolled.failed.items())]
        allowed = int(plain(r.news.get("maxFailures", 0)))
        count = f"{len(rolled.failed)} of {len(r.news['hosts'])} hosts failed"
        untouched = [f"{', '.join(sorted(rolled.pending))}: {why}" for why in {*rolled.pending.values()}]
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


def _as_known(r: Request) -> Request:
    """Nothing is known of a machine that came in another one's place."""
    gone = replaced(r.old_inputs, r.news)
    about = ("facts", "failed", "pending")
    olds = {key: {host: value for host, value in r.olds.get(key, {}).items() if host not in gone} for key in about}
    return replace(r, olds={**r.olds, **olds}) if gone else r


def _window(news: Map) -> Window | None:
    return window_of(plain(news.get("maintenance") or {}))


def _waiting_paths(host: str, spec: Map, facts: Map | None) -> set[str]:
    """Paths of settings that only a boot is missing for."""
    return {join_path("hosts", host, "settings", id) for id in awaiting_boot(spec, facts)}


def _says_nothing(reason: Any) -> bool:
    """Whether a host failed for a reason that does not tell whether it serves."""
    return plain(reason) == LEFT_OUT or str(plain(reason)).startswith(UNREACHABLE)


def _member(urn: str, inputs: Map) -> Member:
    """The group's place among those that change."""
    rolling: Map = plain(inputs.get("rolling") or {})
    limit = int(plain(inputs.get("maxFailures", 0)))
    if not rolling:
        return Member(urn=urn, max_failures=limit)
    spare, at_once = int(rolling["spare"]), int(rolling["atOnce"])
    return Member(urn=urn, pool=str(rolling["pool"]), at_once=at_once, spare=spare, max_failures=limit)


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
