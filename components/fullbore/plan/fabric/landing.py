"""Which priority each runtime's packets really land on, and what happens to them there."""

from __future__ import annotations

from collections.abc import Iterator

from fullbore.catalog.runtimes import RUNTIMES, RuntimeRow
from fullbore.config.fabric import Runtimes
from fullbore.config.models import Site
from fullbore.plan.fabric.queues import HostQueues, SwitchQueues, host_queues, switch_queues
from fullbore.plan.model import LandingPlan

CONTROL = "nccl control"
"""What NCCL's small control messages are called beside its data."""


def landings(site: Site) -> tuple[LandingPlan, ...]:
    """One for each kind of traffic of each runtime that is used; empty where the fabric is not RoCE."""
    hosts, switch = host_queues(site), switch_queues(site)
    if hosts is None:
        return ()
    return tuple(
        _landing(name, row, variable, asked, hosts, switch)
        for name, row, variable, asked in _kinds(site.runtimes, hosts.traffic_class)
    )


def used_runtimes(given: Runtimes) -> tuple[tuple[str, RuntimeRow, int | None], ...]:
    """(name in the environment, row, traffic class that the environment gives it) of each runtime that is used."""
    nvshmem = given.nvshmem
    rows = (
        ("nccl", "nccl", given.nccl),
        ("ucx", "ucx", given.ucx),
        ("nvshmem", f"nvshmem-{nvshmem.transport}" if nvshmem else "", nvshmem),
        ("mooncake", "mooncake", given.mooncake),
    )
    return tuple((name, RUNTIMES[row], traffic.traffic_class) for name, row, traffic in rows if traffic is not None)


def _kinds(given: Runtimes, planned: int) -> Iterator[tuple[str, RuntimeRow, str, int]]:
    """(name, row, variable, traffic class asked for) of data, and of NCCL's control messages where they differ."""
    for name, row, asked in used_runtimes(given):
        yield name, row, row.variable, planned if asked is None else asked
        control = given.nccl.control_traffic_class if name == "nccl" else None
        if control is not None:
            yield CONTROL, row, "NCCL_IB_FIFO_TC", control


def _landing(
    name: str, row: RuntimeRow, variable: str, asked: int, hosts: HostQueues, switch: SwitchQueues | None
) -> LandingPlan:
    forced = hosts.host_traffic_class if row.path == "verbs" else None
    effective = asked if forced is None else forced
    dscp = effective >> 2
    at_host = hosts.priority(dscp)
    at_switch = switch.priority(dscp) if switch else None
    return LandingPlan(
        runtime=name,
        variable=variable,
        asked=asked,
        traffic_class=effective,
        decided_by=variable if forced is None else "the host's traffic class",
        dscp=dscp,
        ecn_capable=effective & 3 in (1, 2),
        priority=at_host,
        switch_priority=at_switch,
        paused_by_host=at_host in hosts.pfc,
        paused_by_switch=at_switch in switch.pfc if switch else None,
        marked=at_host in hosts.ecn and (switch is None or at_switch in switch.ecn),
    )
