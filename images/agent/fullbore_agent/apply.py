"""Applying the settings that live in the running machine and not in a file, for roles and for boot-time units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .cdi import write_cdi
from .gpu import load_driver, set_mig, set_persistence
from .infiniband import set_ipoib
from .node import set_label
from .nvme import set_iopolicy, set_readahead
from .settings import (
    TCLASS,
    awaiting_reboot,
    cnp_file,
    ecn_files,
    holds,
    interface_irqs,
    irq_cpus,
    mtu_file,
    parse_dscp_map,
    parse_mlnx_qos,
    read_all,
    sysctl_path,
    wanted_cpus,
)
from .system import System, ToolError

Applier = Callable[[System, str, str], None]


class Change(NamedTuple):
    """One setting that was, or in a check would be, changed."""

    id: str
    had: str
    want: str


class Applied(NamedTuple):
    changes: list[Change]
    failures: list[str]
    """One line for each setting that does not hold what is wanted afterwards, with the reason where there is one."""


def apply(system: System, settings: Iterable[Mapping[str, Any]], *, check: bool = False) -> Applied:
    """Set what differs, then read it again. Settings of kinds that live in files are left alone.

    What waits for a boot is no failure, and a change only where it did not wait for it before.
    """
    own = {s["id"]: s for s in settings if s["id"].partition(".")[0] in APPLIERS}
    wants = {id: setting["want"] for id, setting in own.items()}
    had = read_all(system, wants)
    changes = [Change(id, had[id], want) for id, want in wants.items() if not holds(id, had[id], want)]
    if check or not changes:
        return Applied(changes, [])
    reasons = {change.id: _set(system, change) for change in changes}
    system.forget()
    now = read_all(system, {change.id: change.want for change in changes})
    waiting = awaiting_reboot([own[change.id] for change in changes], now)
    left = [change for change in changes if not holds(change.id, now[change.id], change.want)]
    failures = [f"{c.id}: is {now[c.id]}, want {c.want}{reasons[c.id]}" for c in left if c.id not in waiting]
    return Applied([c for c in changes if c.id not in waiting or now[c.id] != c.had], failures)


def _set(system: System, change: Change) -> str:
    """Empty, or why it could not be set."""
    kind, _, key = change.id.partition(".")
    try:
        APPLIERS[kind](system, key, change.want)
    except (OSError, ToolError, ValueError) as error:
        return f" ({error})"
    return ""


def _sysctl(system: System, key: str, want: str) -> None:
    system.described(sysctl_path(key)).write_text(want + "\n")


def _qos(system: System, key: str, want: str) -> None:
    interface, _, item = key.rpartition(".")
    if item == "dscp":
        _dscp(system, interface, want)
    else:
        system.change("mlnx_qos", "-i", interface, f"--{item}", want)


def _dscp(system: System, interface: str, want: str) -> None:
    """Set each entry that differs, back to DSCP / 8 where it is not wanted otherwise."""
    held = parse_dscp_map(parse_mlnx_qos(system.run("mlnx_qos", "-i", interface)).get("dscp", "default"))
    wanted = parse_dscp_map(want)
    for dscp in sorted({*held, *wanted}):
        priority = wanted.get(dscp, dscp >> 3)
        if held.get(dscp, dscp >> 3) != priority:
            system.change("mlnx_qos", "-i", interface, "--dscp2prio", f"set,{dscp},{priority}")


def _ecn(system: System, key: str, want: str) -> None:
    for file, value in zip(ecn_files(system, key), want.split(","), strict=True):
        if file.read_text().strip() != value:
            file.write_text(value + "\n")


def _cnp(system: System, key: str, want: str) -> None:
    _write(cnp_file(system, key), want)


def _mtu(system: System, key: str, want: str) -> None:
    _write(mtu_file(system, key), want)


def _write(file: Path, value: str) -> None:
    """Into a file that is there: a folder of the kernel takes no new one, and a double shall not either."""
    with file.open("r+") as opened:
        opened.write(value + "\n")
        opened.truncate()


def _tos(system: System, key: str, want: str) -> None:
    system.change("cma_roce_tos", "-d", key, "-t", want)


def _tclass(system: System, key: str, want: str) -> None:
    system.hardware(TCLASS.format(key)).write_text(want + "\n")


def _governor(system: System, key: str, want: str) -> None:
    del key
    for file in system.hardware("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"):
        file.write_text(want + "\n")


def _irq(system: System, key: str, want: str) -> None:
    """Spread the interrupts that are elsewhere over the wanted CPUs, one each in turn."""
    numbers, local = interface_irqs(system, key)
    wanted = wanted_cpus(want, local)
    if not wanted:
        raise ValueError(f"{key}: the kernel names no CPU near it")
    for turn, number in enumerate(numbers):
        if not irq_cpus(system, number) <= wanted:
            cpu = sorted(wanted)[turn % len(wanted)]
            system.hardware(f"/proc/irq/{number}/smp_affinity_list").write_text(f"{cpu}\n")


def _stopped(system: System, key: str, want: str) -> None:
    del want
    system.change("systemctl", "disable", "--now", key)


APPLIERS: dict[str, Applier] = {
    "sysctl": _sysctl,
    "qos": _qos,
    "ecn": _ecn,
    "cnp": _cnp,
    "ipoib": set_ipoib,
    "readahead": set_readahead,
    "iopolicy": set_iopolicy,
    "mtu": _mtu,
    "tos": _tos,
    "tclass": _tclass,
    "governor": _governor,
    "stopped": _stopped,
    "irq": _irq,
    "driver": load_driver,
    "persistence": set_persistence,
    "mig": set_mig,
    "cdi": write_cdi,
    "label": set_label,
}
