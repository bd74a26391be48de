"""The site's part of an explanation: what lies near each GPU, where traffic lands, what the links carry. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from fullbore.catalog.runtimes import LINE_SHARE
from fullbore.config.models import Environment
from fullbore.plan.fabric import links, narrowest_group
from fullbore.plan.model import LandingPlan, NumaPlan, Plan, SitePlan
from fullbore.plan.pools import first_of
from fullbore.plan.rolling import POOLS, in_order, waves
from fullbore.report.section import Section

ARTICLE_GBPS = 100
"""Above it, all-reduce is said to slow down steeply: the first of the articles that this project answers."""


def numa_section(env: Environment, plan: Plan) -> Section:
    """One row for each GPU of a group; the machines of a group are alike, and groups that are alike are told once."""
    groups = _alike(plan)
    rows = tuple(
        {
            "group": name,
            "GPU": rank.gpu,
            "NUMA node": rank.numa_node,
            "HCA": rank.hca or "none",
            "distance": rank.distance or "none",
            "CPUs of the rank": rank.cpus or "none",
            "CPUs of the HCA's interrupts": numa.interrupts.get(rank.hca, "its NUMA node's"),
        }
        for name, numa in groups
        for rank in numa.ranks
    )
    notes = (
        f"{name}: machine {_ORIGINS.get(numa.origin, numa.origin)}, reserved CPUs {numa.reserved_cpus or 'none'}, "
        f"topology manager {numa.topology_policy}, {numa.hugepages_2mib} huge pages of 2 MiB"
        for name, numa in groups
        if numa.ranks
    )
    return Section(title="NUMA: what lies near each GPU of a host", rows=rows, note="\n".join(notes))


_ORIGINS = {"assumed": "assumed (CPUs and HCAs are a guess until the group has a profile or a machine)"}


def _alike(plan: Plan) -> list[tuple[str, NumaPlan]]:
    """Groups by what is planned for them: the first one's name, and how many are like it."""
    found: list[tuple[list[str], NumaPlan]] = []
    for group in plan.site.groups if plan.site else ():
        names = next((names for names, numa in found if numa == group.numa), None)
        if names is not None:
            names.append(group.name)
        elif group.numa:
            found.append(([group.name], group.numa))
    return [(first_of(names), numa) for names, numa in found]


def rolling_notes(site: SitePlan) -> Iterator[str]:
    """How a change goes over each kind of machine, and when machines are rebooted."""
    for kind in POOLS:
        groups = in_order(group for group in site.groups if group.kind == kind)
        machines = sum(len(group.hosts) for group in groups)
        if machines > 1:
            sizes = [len(wave) for wave in waves(groups, [host.name for group in groups for host in group.hosts])]
            told = ", ".join(f"{count} x {size}" if count > 1 else str(size) for size, count in _runs(sizes))
            spare = groups[0].rolling.spare
            yield f"a change of all {kind} machines goes over {told}; at most {spare} of {machines} are out of service"
    back = any(group.rolling.roll_back for group in site.groups)
    left = "put back to what it held before" if back else "left as it is, out of service"
    most = max((group.max_failures for group in site.groups), default=0)
    yield f"a machine on which a change fails: {left}; up to {most} of a group may fail in an update that succeeds"
    window = site.maintenance
    if window:
        when = f"{', '.join(window.days)} at {window.start} {window.time_zone} for {window.hours} h"
        drain = f"a drain of the node of at most {window.drain_limit_s:,} s"
        after = drain if window.kubeconfig else "nothing: no cluster is given"
        yield f"reboots: {when}, after {after}; a machine has {window.return_limit_s:,} s to come back"
    else:
        yield "reboots: never; site.maintenance opens no window"


def _runs(sizes: Iterable[int]) -> list[tuple[int, int]]:
    """[(size, how often it follows itself)]"""
    return [(size, len(list(same))) for size, same in groupby(sizes)]


def fabric_section(env: Environment, plan: Plan) -> Section:
    """One row for each kind of traffic of each runtime, with the priority that it really lands on."""
    fabric = plan.site.fabric if plan.site else None
    rows = tuple(
        {
            "runtime": landing.runtime,
            "asked": f"{landing.variable}={landing.asked}",
            "traffic class": landing.traffic_class,
            "decided by": landing.decided_by,
            "DSCP": landing.dscp,
            "priority (host)": landing.priority,
            "priority (switch)": "not described" if landing.switch_priority is None else str(landing.switch_priority),
            "lossless": _lossless(landing),
            "congestion marked": "yes" if landing.marked and landing.ecn_capable else "no",
        }
        for landing in (fabric.landings if fabric else ())
    )
    return Section(title="fabric: where traffic lands", rows=rows)


def _lossless(landing: LandingPlan) -> str:
    if landing.paused_by_switch is None and landing.lossless:
        return "if the switch does as below"
    return "yes" if landing.lossless else "no"


def environment_section(env: Environment, plan: Plan) -> Section:
    fabric = plan.site.fabric if plan.site else None
    group = next((group for group in plan.site.groups if group.kind == "gpu"), None) if plan.site else None
    if fabric is None or group is None:
        return Section(title="fabric: environment", rows=())
    settings = {s.id.partition(".")[2]: s.want for s in group.settings if s.id.startswith("nccl.")}
    rows = [{"for": "/etc/nccl.conf", "variable": name, "value": value} for name, value in settings.items()]
    rows += [
        {"for": f"processes with {runtime}", "variable": name, "value": value}
        for runtime, lines in group.environment.items()
        for name, value in lines.items()
    ]
    return Section(title="fabric: environment", rows=tuple(rows), note=f"of group {group.name}")


def switch_section(env: Environment, plan: Plan) -> Section:
    rows = tuple(
        {"item": line.item, "must hold": line.value, "holds": line.holds or "not described"}
        for line in (plan.site.fabric.switch if plan.site and plan.site.fabric else ())
    )
    return Section(title="fabric: switch ports towards the hosts", rows=rows)


def links_section(env: Environment, plan: Plan) -> Section:
    """What leaves a host, against what its links carry, and against the article's bound."""
    site, fabric = env.site, plan.site.fabric if plan.site else None
    group = narrowest_group(site) if site else None
    if site is None or fabric is None or group is None:
        return Section(title="fabric: rate", rows=())
    rows = tuple(
        {
            "traffic": flow.what,
            "KiB a token": round(flow.bytes_per_token / 1024, 1),
            "tokens a second": round(flow.tokens_per_s, 1),
            "leaves a host (Gbit/s)": round(flow.gbps, 1),
            "beyond 100 Gbit/s": "yes" if flow.gbps > ARTICLE_GBPS else "no",
        }
        for flow in fabric.flows
    )
    carried = links(group) * site.link_gbps * LINE_SHARE
    note = f"a host's {links(group)} links carry {carried:,.0f} Gbit/s at {LINE_SHARE:.0%} of their rate"
    return Section(title="fabric: rate", rows=rows, note=note)
