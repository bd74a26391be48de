"""What became of each machine and GPU, by serial number: accepted, quarantined, replaced. Pure: the time is given.

    parts     {host: {slot: serial}}   what a host was made of when it was looked at last; its own slot is "machine",
                                       a GPU's is its PCI address
    history   {serial: [{at, host, slot, event, why}]}, oldest first; accepted, quarantined, replaced or removed

A part that fails its acceptance is in quarantine until it passes one. What is kept outlives its time in the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fullbore.evidence.model import Verdict
from fullbore.evidence.parse.nvidia_smi import parse_query
from fullbore.evidence.unreadable import Unreadable

MACHINE: Final = "machine"
KEPT: Final = 50
"""Events of one part that are kept, the newest."""

Parts = Mapping[str, Mapping[str, str]]
Entry = dict[str, str]
History = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A host that was measured now."""

    host: str
    serial: str
    gpus: Mapping[str, str] = field(default_factory=dict[str, str])
    """{PCI address: serial number} in the order of the driver; empty where nothing was said of them."""
    failed: Sequence[Verdict] = ()


def gpu_serials(text: str) -> dict[str, str]:
    """{PCI address: serial number} of what `nvidia-smi -q` prints; empty where it cannot be read."""
    try:
        return {gpu.bus: gpu.serial for gpu in parse_query(text).gpus}
    except Unreadable:
        return {}


@dataclass(frozen=True, kw_only=True)
class Record:
    parts: dict[str, dict[str, str]]
    history: dict[str, list[Entry]]


def recorded(parts: Parts, history: History, hosts: Mapping[str, str], seen: Iterable[Seen], at: str) -> Record:
    """The record after a look at `seen`. `hosts` is {host: serial number} of all that are planned now."""
    now = {host: dict(slots) for host, slots in parts.items()}
    kept = {serial: [dict(entry) for entry in entries] for serial, entries in history.items()}

    def write(serial: str, host: str, slot: str, event: str, why: str) -> None:
        entry = {"at": at, "host": host, "slot": slot, "event": event, "why": why}
        kept[serial] = [*kept.get(serial, []), entry][-KEPT:]

    for host in [host for host in now if host not in hosts]:
        write(now.pop(host)[MACHINE], host, MACHINE, "removed", "")
    for host, serial in hosts.items():
        had = now.get(host, {}).get(MACHINE, serial)
        if had != serial:
            write(had, host, MACHINE, "replaced", f"by {serial}{_because(kept, had)}")
            del now[host]  # its GPUs went with it
    for each in seen:
        slots = now.setdefault(each.host, {MACHINE: each.serial})
        for slot in sorted(slots.keys() & each.gpus.keys()):
            if slots[slot] != each.gpus[slot] and slots[slot] not in each.gpus.values():
                write(slots[slot], each.host, slot, "replaced", f"by {each.gpus[slot]}{_because(kept, slots[slot])}")
        slots.update(each.gpus)
        for slot, serial, problem in _judged(each):
            event = "quarantined" if problem else "accepted"
            last = kept.get(serial, [{}])[-1]
            if (last.get("event"), last.get("why", "")) != (event, problem):
                write(serial, each.host, slot, event, problem)
    return Record(parts=now, history=kept)


def _because(history: Mapping[str, Sequence[Mapping[str, Any]]], serial: str) -> str:
    why = quarantined(history, serial)
    return f", for {why}" if why else ""


def quarantined(history: History, serial: str) -> str:
    """Why a part was in quarantine when it was last judged; empty where it was not."""
    judged = [entry for entry in history.get(serial, ()) if entry["event"] in ("accepted", "quarantined")]
    return str(judged[-1]["why"]) if judged and judged[-1]["event"] == "quarantined" else ""


def _judged(seen: Seen) -> list[tuple[str, str, str]]:
    """[(slot, serial, what failed)] of the machine and of each GPU."""
    found = [(MACHINE, seen.serial, str(seen.failed[0]) if seen.failed else "")]
    for number, (bus, serial) in enumerate(seen.gpus.items()):
        path = f"{seen.host}.gpu{number}"
        failed = [str(each) for each in seen.failed if each.path == path or each.path.startswith(f"{path}.")]
        found.append((bus, serial, failed[0] if failed else ""))
    return found
