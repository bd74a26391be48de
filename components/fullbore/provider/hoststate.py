"""What a host group keeps in state, computed from inputs, earlier outputs and what a run reported. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from fullbore.provider.base import UNKNOWN, Map
from fullbore.provider.events import Outcome
from fullbore.provider.facts import from_module, setting_changes
from fullbore.provider.values import keep_secrets, plain


def foreseen(news: Map) -> Map:
    hosts = news["hosts"]
    known = isinstance(hosts, dict) and not any(spec is UNKNOWN for spec in cast("Map", hosts).values())
    shown = _without_vars(cast("Map", hosts)) if known else UNKNOWN
    return {**news, "hosts": shown, "facts": UNKNOWN, "failed": UNKNOWN, "pending": UNKNOWN}


def merged_facts(olds: Map, inputs: Map, outcomes: Mapping[str, Outcome]) -> dict[str, Map]:
    """The newest facts of each host of the group, with secret marks where the wanted values have them."""
    merged: dict[str, Map] = {}
    old_facts: dict[str, Map] = olds.get("facts", {})
    for host in inputs["hosts"]:
        outcome = outcomes.get(host)
        if outcome is not None and outcome.facts is not None:
            new = keep_secrets(from_module(outcome.facts), {"settings": inputs["hosts"][host]["settings"]})
            merged[host] = {"content": "", **_only(old_facts.get(host, {}), "content"), **new}
        elif host in old_facts:
            merged[host] = old_facts[host]
    return merged


def _only(values: Map, key: str) -> Map:
    return {key: values[key]} if key in values else {}


def outdated(olds: Map, content: str) -> frozenset[str]:
    """Hosts that converged with other roles before: drift alone does not show all that new ones would do.

    A host that never converged is not among them: there, everything that is missing is drift.
    """
    facts: dict[str, Map] = olds.get("facts", {})
    return frozenset(host for host, fact in facts.items() if fact.get("content") not in ("", content))


def with_settings(hosts: Map, facts: Mapping[str, Map], keep: bool) -> Map:
    """The hosts with what they reported as settings; one that was not reported stays as it was, or is left out."""
    return {
        host: {**spec, "settings": {**(spec["settings"] if keep else {}), **_reported(host, spec, facts)}}
        for host, spec in hosts.items()
    }


def _without_vars(hosts: Map) -> Map:
    """As outputs: Ansible's variables say nothing about a machine, and would fill every diff."""
    return {host: {key: value for key, value in spec.items() if key != "vars"} for host, spec in hosts.items()}


def _reported(host: str, spec: Map, facts: Mapping[str, Map]) -> Map:
    return {id: value for id, value in facts.get(host, {}).get("settings", {}).items() if id in spec["settings"]}


def outputs_of(inputs: Map, facts: Mapping[str, Map], failed: Mapping[str, Any], pending: Mapping[str, Any]) -> Map:
    hosts = _without_vars(with_settings(inputs["hosts"], facts, keep=False))
    return {**inputs, "hosts": hosts, "facts": dict(facts), "failed": dict(failed), "pending": dict(pending)}


def replaced(old_inputs: Map, news: Map) -> frozenset[str]:
    """Hosts whose machine is another one: the name is the same, the serial number is not."""
    olds: Map = old_inputs.get("hosts", {})
    return frozenset(
        host
        for host, spec in news["hosts"].items()
        if host in olds
        and spec is not UNKNOWN
        and UNKNOWN not in (spec["serial"], olds[host]["serial"])
        and plain(spec["serial"]) != plain(olds[host]["serial"])
    )


AT_BOOT: Final = "; at boot: "
"""Between what a machine holds and what it will hold after its next boot, in the value that it reports."""


def awaiting_boot(spec: Map, facts: Map | None) -> list[str]:
    """Ids of a host's settings that its next boot brings to what is wanted."""
    have: Map = plain((facts or {}).get("settings", {}))
    later = (setting for setting in plain(spec["vars"])["fullbore_settings"] if setting.get("reboot"))
    return [s["id"] for s in later if str(have.get(s["id"], "")).endswith(f"{AT_BOOT}{s['want']}")]


_TAKES_OUT: Final = ("driver.loaded", "mig.", "package.kube", "file./etc/kubernetes/")
"""How settings begin whose change takes a machine out of use: the roles change a driver's packages, how a GPU is
divided, and the kubelet and its configuration only while nothing runs on the GPUs."""


def is_taken_out_for(id: str) -> bool:
    """Whether a change of this setting takes a machine out of use."""
    return id.startswith(_TAKES_OUT)


def takes_out(spec: Map, facts: Map | None) -> list[str]:
    """Ids of settings whose change takes a machine out of use; none where it holds nothing yet that could be in use."""
    have: Map = plain((facts or {}).get("settings", {}))
    found = [
        (id, str(have.get(id, "absent")), str(plain(want)))
        for id, want in spec["settings"].items()
        if is_taken_out_for(id)
    ]
    return [
        id
        for id, now, want in found
        if now != want and not now.startswith(("absent", "error", "none")) and not now.endswith(f"{AT_BOOT}{want}")
    ]


def failures(news: Map, outcomes: Mapping[str, Outcome], facts: Mapping[str, Map]) -> dict[str, str]:
    """Why each host is not what was asked for: its run failed, or a setting did not take."""
    failed: dict[str, str] = {}
    for host, outcome in outcomes.items():
        spec: Map = news["hosts"][host]
        if outcome.failed:
            failed[host] = outcome.failed
        elif host not in facts:
            failed[host] = "reported no facts"
        else:
            later = {s["id"] for s in plain(spec["vars"])["fullbore_settings"] if s.get("reboot")}
            wanted = {id: value for id, value in spec["settings"].items() if id not in later}
            left = setting_changes(host, facts[host]["settings"], wanted)
            if left:
                lines = [line.removeprefix(f"{host}: ") for _, line in left.values()]
                failed[host] = f"not as wanted after the roles ran: {', '.join(lines[:3])}"
    return failed
