"""Rules about ends that disagree: runtimes, hosts and switches on marks, priorities and the size of packets."""

from __future__ import annotations

from collections.abc import Iterable

from fullbore.catalog.runtimes import ETHERNET_MTU, RDMA_MTU, RDMA_MTUS, ROCE_HEADERS
from fullbore.config.models import Site
from fullbore.plan.change import put
from fullbore.plan.checks.base import Finding, Rule, Subject
from fullbore.plan.checks.fabric.roce import deciding_field, drops, mapped, numbers, own_field, queues_of, to_the_end
from fullbore.plan.fabric import HostQueues, SwitchQueues, landings
from fullbore.plan.fabric.landing import CONTROL
from fullbore.plan.model import LandingPlan


def _disagree(subject: Subject) -> Iterable[Finding]:
    for site, hosts, _ in queues_of(subject):
        data = [landing for landing in landings(site) if landing.runtime != CONTROL]
        planned = hosts.priority(hosts.dscp)
        if len({landing.priority for landing in data}) < 2:
            continue
        for odd in (landing for landing in data if landing.priority != planned):
            field = deciding_field(odd)
            message = f"{odd.runtime} lands on priority {odd.priority}, and others on {_others(odd, data)}"
            fix = f"give all traffic class {hosts.traffic_class}, or keep queues for each on purpose"
            step = put(field, hosts.traffic_class)
            yield Finding(field, f"{message}, so that they do not share what is kept for RoCE; {fix}", (step,))


def _others(odd: LandingPlan, data: Iterable[LandingPlan]) -> str:
    return numbers({landing.priority for landing in data} - {odd.priority})


def _differ(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        if switch is None:
            continue
        if hosts.trust != switch.trust:
            message = f"the switch trusts {switch.trust}, hosts trust {hosts.trust}; set both to dscp"
            both = (put("site.qos.trust", "dscp"), put("site.switch.trust", "dscp"))
            yield Finding("site.switch.trust", message, both)
        if hosts.pfc != switch.pfc:
            message = f"the switch pauses {numbers(switch.pfc)}, hosts pause {numbers(hosts.pfc)}"
            both = _to_pause(site, hosts, switch)
            ends = {"site.qos.pfc": hosts.pfc, "site.switch.pfc": switch.pfc}
            steps = tuple(put(path, sorted(both)) for path, pfc in ends.items() if pfc != both)
            yield Finding("site.switch.pfc", f"{message}; pause {numbers(both)} on both", steps)
        marked = {landing.dscp for landing in landings(site)} | {hosts.dscp}
        # What cnp-priority moves elsewhere first is compared then.
        notified = {hosts.cnp_dscp} if hosts.priority(hosts.cnp_dscp) == hosts.cnp_priority else set[int]()
        for dscp in sorted(marked | notified):
            one, other = hosts.priority(dscp), switch.priority(dscp)
            if one != other and hosts.trust == switch.trust:
                message = f"DSCP {dscp} is priority {other} on the switch and {one} on hosts; map it to {one} on both"
                yield Finding("site.switch.dscp_to_priority", message, (mapped(switch, dscp, one),))


def _to_pause(site: Site, hosts: HostQueues, switch: SwitchQueues) -> frozenset[int]:
    """What a runtime lands on of what either end pauses; what hosts pause where that is nothing."""
    used = frozenset(landing.priority for landing in landings(site)) & (hosts.pfc | switch.pfc)
    return used if hosts.trust == "dscp" and used else hosts.pfc


def _overridden(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in queues_of(subject):
        forced = hosts.host_traffic_class
        if forced is None:
            continue
        for landing in landings(site):
            if drops(landing, hosts, switch):
                continue
            if landing.decided_by != landing.variable and landing.asked != forced:
                message = f"{landing.variable}={landing.asked} is not used: the kernel puts {forced} over it"
                fix = f"take {forced} for {landing.runtime}, or leave host_traffic_class out"
                step = put(own_field(landing), forced)
                yield Finding("site.qos.host_traffic_class", f"{message}; {fix}", (step,))
            if landing.decided_by == landing.variable and landing.traffic_class != forced:
                message = (
                    f"{forced} does not reach {landing.runtime}, which sets up its queue pairs past the kernel and has "
                    f"{landing.variable}={landing.traffic_class}"
                )
                fix = f"take {forced} for {landing.runtime}, too"
                step = put(own_field(landing), forced)
                yield Finding("site.qos.host_traffic_class", f"{message}; {fix}", (step,))


def _mtu(subject: Subject) -> Iterable[Finding]:
    for site, _, switch in queues_of(subject):
        least = RDMA_MTU + ROCE_HEADERS
        if site.mtu_bytes is None:
            if switch and switch.mtu_bytes is not None and switch.mtu_bytes < least:
                message = f"got {switch.mtu_bytes}, but an RDMA MTU of {RDMA_MTU} needs {least} with its headers"
                fix = f"take {least} or more on both ends, or say site.mtu_bytes, what hosts send"
                yield Finding("site.switch.mtu_bytes", f"{message}; {fix}", (put("site.switch.mtu_bytes", least),))
            continue
        if switch and switch.mtu_bytes is not None and switch.mtu_bytes < site.mtu_bytes:
            message = f"got {switch.mtu_bytes}, but hosts send packets of up to {site.mtu_bytes} bytes, which it drops"
            step = put("site.switch.mtu_bytes", site.mtu_bytes)
            yield Finding("site.switch.mtu_bytes", f"{message}; raise it to {site.mtu_bytes} or more", (step,))
        if site.mtu_bytes < least:
            message = f"got {site.mtu_bytes}, but an RDMA MTU of {RDMA_MTU} needs {least} with its headers"
            fix = f"so that Linux takes one of {_rdma_mtu(site.mtu_bytes)}; take {least} or more"
            yield Finding("site.mtu_bytes", f"{message}, {fix}", (put("site.mtu_bytes", least),))


def _unset(subject: Subject) -> Iterable[Finding]:
    for site, _, _ in queues_of(subject):
        used = any(group.hcas for group in site.groups.values())
        if site.mtu_bytes is None and used and not subject.env.sandbox:
            least = RDMA_MTU + ROCE_HEADERS
            message = (
                f"not given, so that interfaces keep what they have: on Ethernet's {ETHERNET_MTU} Linux takes an RDMA "
                f"MTU of {_rdma_mtu(ETHERNET_MTU)}, and {RDMA_MTU} needs {least}; say {least} or more"
            )
            yield Finding("site.mtu_bytes", message, (put("site.mtu_bytes", least),))


def _rdma_mtu(mtu: int) -> int:
    """The RDMA MTU that Linux takes on an interface of this IP MTU, bytes."""
    return max((size for size in RDMA_MTUS if size <= mtu - ROCE_HEADERS), default=0)


RULES = (
    Rule(
        id="runtimes-disagree",
        severity="warning",
        summary="two runtimes land on different priorities",
        find=to_the_end(_disagree),
    ),
    Rule(
        id="host-switch-differ",
        severity="error",
        summary="hosts and switches trust, map or pause differently",
        find=to_the_end(_differ),
    ),
    Rule(
        id="traffic-class-overridden",
        severity="warning",
        summary="a host-wide traffic class wins over a runtime's, or does not reach it",
        find=to_the_end(_overridden),
    ),
    Rule(
        id="mtu-too-small",
        severity="error",
        summary="the switch's or the hosts' MTU is too small for RoCE",
        find=to_the_end(_mtu),
    ),
    Rule(
        id="mtu-unset",
        severity="info",
        summary="nothing sets the MTU of a RoCE fabric's interfaces, and Ethernet's own leaves RDMA small packets",
        find=_unset,
    ),
)
