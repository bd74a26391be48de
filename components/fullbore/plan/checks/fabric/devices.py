"""Rules about the RDMA devices and interfaces of hosts, and the variables of NCCL that name them."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.catalog.runtimes import NCCL_HCAS, NCCL_SYSTEM
from fullbore.plan.change import Change, put
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.fabric.landing import used_runtimes
from fullbore.plan.fabric.make import RDMA

PLANNED_NCCL = {
    "NCCL_IB_HCA": "the hcas of each group",
    "NCCL_IB_TC": "site.runtimes.nccl.traffic_class or site.qos.dscp",
    "NCCL_IB_FIFO_TC": "site.runtimes.nccl.control_traffic_class",
    "NCCL_IB_GID_INDEX": "site.gid_index",
}
"""Variables that the plan writes itself, and from what."""


def _nccl(subject: Subject) -> Iterable[Finding]:
    for name in subject.env.site.nccl_conf if subject.env.site else ():
        path, gone = f"site.nccl_conf.{name[:60]}", (Change(path=("site", "nccl_conf", name), value=None),)
        if name in PLANNED_NCCL:
            yield Finding(path, f"is written by the plan from {PLANNED_NCCL[name]}; set that instead", gone)
        elif name not in NCCL_SYSTEM:
            message = "is not among the variables that NVIDIA documents as system configuration"
            yield Finding(path, f"{message}; set it for one application, while it is examined, or remove it", gone)


def _hcas(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    for name, group in site.groups.items() if site else ():
        path = f"site.groups.{name}"
        if len(group.hcas) > NCCL_HCAS and group.kind == "gpu":
            message = f"{counted(len(group.hcas), 'device')}, but NCCL uses {NCCL_HCAS} at most; list fewer"
            once = list(dict.fromkeys(group.hcas))[:NCCL_HCAS]
            yield Finding(f"{path}.hcas", message, (put(f"{path}.hcas", once),))
        for field in ("hcas", "interfaces"):
            listed: tuple[str, ...] = getattr(group, field)
            twice = sorted({item for item in listed if listed.count(item) > 1})
            if twice:
                once = list(dict.fromkeys(listed))
                most = NCCL_HCAS if field == "hcas" and group.kind == "gpu" else len(once)
                fix = (put(f"{path}.{field}", once[:most]),)
                yield Finding(f"{path}.{field}", f"{', '.join(twice)}: listed twice; list each once", fix)
        if site and site.fabric == "roce" and len(group.interfaces) != len(group.hcas):
            message = (
                f"{counted(len(group.interfaces), 'interface')} for {counted(len(group.hcas), 'RDMA device')}; list "
                "the interface of each device, in the same order, so that each gets its queues"
            )
            yield Finding(f"{path}.interfaces", message)


def _unnamed(subject: Subject) -> Iterable[Finding]:
    """Without devices, nothing says which of a host's these libraries take, or which lies beside which GPU."""
    site = subject.env.site
    if site is None or site.fabric not in RDMA or subject.env.sandbox:
        return
    used = [name for name, _, _ in used_runtimes(site.runtimes) if name != "nccl"]
    for name, group in site.groups.items():
        if used and group.kind == "gpu" and not group.hcas:
            message = f"got an empty list, so that {' and '.join(used)} choose among all devices of a host"
            yield Finding(f"site.groups.{name}.hcas", f"{message}; list those that join the hosts")


RULES = (
    Rule(
        id="nccl-not-system",
        severity="error",
        summary="a variable does not belong into /etc/nccl.conf",
        find=_nccl,
    ),
    Rule(
        id="fabric-devices",
        severity="error",
        summary="a group's interfaces and RDMA devices do not match",
        find=_hcas,
    ),
    Rule(
        id="devices-unnamed",
        severity="warning",
        summary="runtimes use RDMA, but a group of GPUs lists no devices",
        find=_unnamed,
    ),
)
