"""What an Ansible run did to each host, from ansible-runner's events. Pure.

An event here is a small map, cut down by `slim` from the ones that ansible-runner gives:

    {event: "ok"|"failed"|"unreachable", host, role, task, changed, message?, facts?, checks?}
    {event: "start", task, role}                a task begins
    {event: "stats", failed: [host], unreachable: [host], changed: [host]}
    {event: "output", text}                     what Ansible said outside any task, e.g. why it did not start
    {event: "end", status, rc}                  the run is over: status is successful, failed, canceled or timeout
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from fullbore.provider.advice import advice
from fullbore.provider.values import Map

FACTS_MODULE: Final = "fullbore_facts"
FACTS: Final = ("host", "reported_at", "settings", "signature", "owner")
"""What is kept of that module's result: what the host signed, its signature, and whose it is by its plan file."""
EVIDENCE_MODULE: Final = "fullbore_evidence"
CHECKS: Final = ("outputs", "missing")
"""What is kept of that module's result: what each check printed, and why others did not run."""
MAX_REASON: Final = 300
"""Characters of a failure's reason that are kept in state, before what to do about it."""

_HOST_EVENTS: Final = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}


@dataclass(frozen=True)
class Outcome:
    """How one host came out of a run."""

    facts: Map | None = None
    """What the facts module reported last; None where it never ran."""
    checks: Map | None = None
    """{outputs, missing} of the acceptance's checks; None where they never ran."""
    failed: str | None = None
    """Why the host failed, on one line; None where it did not."""
    changed: bool = False


def slim(event: Map) -> Map | None:
    """The part of an ansible-runner event that is used here; None for one that is not. Nothing unlogged passes."""
    name, data = event.get("event"), cast("Map", event.get("event_data") or {})
    if name in _HOST_EVENTS:
        return _slim_host(_HOST_EVENTS[name], data)
    if name == "playbook_on_task_start":
        return {"event": "start", "task": data.get("task", ""), "role": data.get("role", "")}
    if name == "playbook_on_stats":
        return {
            "event": "stats",
            "failed": sorted(data.get("failures") or {}),
            "unreachable": sorted(data.get("dark") or {}),
            "changed": sorted(data.get("changed") or {}),
        }
    text = str(event.get("stdout") or "").strip()
    return {"event": "output", "text": text} if name in ("verbose", "error") and text else None


def _slim_host(kind: str, data: Map) -> Map | None:
    result = cast("Map", data.get("res") or {})
    if kind == "failed" and data.get("ignore_errors"):
        return None
    slimmed: Map = {
        "event": kind,
        "host": data.get("host", ""),
        "role": data.get("role", ""),
        "task": data.get("task", ""),
        "changed": bool(result.get("changed")),
    }
    if kind != "ok":
        slimmed["message"] = _message(result)
    if str(data.get("task_action", "")).endswith(FACTS_MODULE) and "settings" in result:
        slimmed["facts"] = {key: result.get(key) for key in FACTS}
    if str(data.get("task_action", "")).endswith(EVIDENCE_MODULE) and "outputs" in result:
        slimmed["checks"] = {key: result.get(key) or {} for key in CHECKS}
    return slimmed


def _message(result: Map) -> str:
    """The most telling line of a failed result."""
    if result.get("_ansible_no_log") or "censored" in result:
        return "its output is hidden, because it may hold secrets"
    items = cast("list[Map]", result.get("results") or [])
    source = next((item for item in items if item.get("failed")), result)
    parts = [str(source.get(key) or "").strip() for key in ("msg", "stderr", "module_stderr")]
    text = ": ".join(dict.fromkeys(part.removeprefix("Task failed: ") for part in parts if part))
    return _one_line(text) or "no reason given"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 1]}…"


def _with_advice(text: str) -> str:
    """One line that ends with what to do, where that is known."""
    line, what = _one_line(text), advice(text)
    return f"{line}; {what}" if what else line


@dataclass
class Fold:
    """Adds events up. `feed` them all, then ask for `outcomes`."""

    _facts: dict[str, Map] = field(default_factory=dict[str, Map])
    _checks: dict[str, Map] = field(default_factory=dict[str, Map])
    _errors: dict[str, str] = field(default_factory=dict[str, str])
    _changed: set[str] = field(default_factory=set[str])
    _lost: set[str] | None = None
    _output: str = ""
    _end: str = ""

    def feed(self, event: Map) -> None:
        kind, host = event["event"], event.get("host", "")
        if "facts" in event:
            self._keep(host, event["facts"])
        if "checks" in event:
            self._checks[host] = event["checks"]
        if kind == "failed":
            where = ": ".join(part for part in (event["role"], event["task"]) if part)
            self._errors[host] = _with_advice(f"{where}: {event['message']}")
        elif kind == "unreachable":
            self._errors[host] = _with_advice(f"unreachable: {event['message']}")
        elif kind == "stats":
            self._lost = {*event["failed"], *event["unreachable"]}
            self._changed = set(event["changed"])
        elif kind == "output":
            self._output = event["text"]
        elif kind == "end":
            self._end = event["status"]

    def _keep(self, host: str, facts: Map) -> None:
        """Keeps the newest report. A role's own check reports its settings only: that does not replace a full one."""
        before = self._facts.get(host)
        if before is None or set(before["settings"]) <= set(facts["settings"]):
            self._facts[host] = facts

    def outcomes(self, hosts: Iterable[str]) -> dict[str, Outcome]:
        """Each host's outcome. Without Ansible's closing statistics, no host counts as finished."""
        return {
            host: Outcome(
                facts=self._facts.get(host),
                checks=self._checks.get(host),
                failed=self._failure(host),
                changed=host in self._changed,
            )
            for host in hosts
        }

    def _failure(self, host: str) -> str | None:
        if self._lost is not None:
            return self._errors.get(host, "failed without a reason") if host in self._lost else None
        if host in self._errors:
            return self._errors[host]
        if self._end in ("canceled", "timeout"):
            return "the run was stopped before this host was done" if self._end == "canceled" else "ran out of time"
        return _one_line(f"ansible did not finish: {self._output or 'it said nothing'}")
