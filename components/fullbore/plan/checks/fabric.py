"""Rules about the fabric: do marks, priorities and queues agree from runtime to switch, and do the links suffice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from fullbore.catalog.runtimes import LINE_SHARE, NCCL_HCAS, NCCL_SYSTEM, RDMA_MTU, ROCE_HEADERS
from fullbore.catalog.switches import SWITCHES
from fullbore.config.fabric import Load, Qos, Runtimes, Traffic
from fullbore.config.models import Site
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.fabric import HostQueues, SwitchQueues, fabric_plan, host_queues, landings, links, narrowest_group
from fullbore.plan.fabric import switch_queues as described_switch
from fullbore.plan.fabric.need import EXPERTS, PREFILL
from fullbore.plan.fabric.queues import ECN_CAPABLE
from fullbore.plan.model import LandingPlan

PLANNED_NCCL = {
    "NCCL_IB_HCA": "the hcas of each group",
    "NCCL_IB_TC": "site.runtimes.nccl.traffic_class or site.qos.dscp",
    "NCCL_IB_FIFO_TC": "site.runtimes.nccl.control_traffic_class",
    "NCCL_IB_GID_INDEX": "site.gid_index",
}
"""Variables that the plan writes itself, and from what."""


def _ends(subject: Subject) -> Iterator[tuple[Site, HostQueues, SwitchQueues | None]]:
    """The site with its hosts' and switches' queues, where the fabric is RoCE."""
    site = subject.env.site
    hosts = host_queues(site) if site else None
    if site and hosts:
        yield site, hosts, described_switch(site)


def _roce_only(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    if site is None or site.fabric == "roce":
        return
    for field, nothing in (("qos", Qos()), ("switch", None), ("gid_index", None)):
        if getattr(site, field) != nothing:
            message = f"is for a RoCE fabric, but site.fabric is {site.fabric}; remove it or correct site.fabric"
            yield Finding(f"site.{field}", message)
    for path, value in _traffic_classes(site.runtimes):
        if value is not None:
            message = f"got {value}, but packets carry a traffic class on a RoCE fabric only, and it is {site.fabric}"
            yield Finding(path, f"{message}; remove it or correct site.fabric")


def _traffic_classes(runtimes: Runtimes) -> Iterator[tuple[str, int | None]]:
    for name in ("nccl", "ucx", "nvshmem", "mooncake"):
        traffic: Traffic | None = getattr(runtimes, name)
        yield f"site.runtimes.{name}.traffic_class", traffic.traffic_class if traffic else None
    yield "site.runtimes.nccl.control_traffic_class", runtimes.nccl.control_traffic_class


def _rdma_only(subject: Subject) -> Iterable[Finding]:
    """Queue pairs of verbs, which neither EFA nor TCP nor NVLink has."""
    site = subject.env.site
    if site is None or site.fabric in ("roce", "infiniband"):
        return
    message = f"is for RoCE and InfiniBand, but site.fabric is {site.fabric}; remove it or correct site.fabric"
    if site.runtimes.nccl.qps_per_connection is not None:
        yield Finding("site.runtimes.nccl.qps_per_connection", message)
    if site.runtimes.nvshmem and "transport" in site.runtimes.nvshmem.model_fields_set:
        yield Finding("site.runtimes.nvshmem.transport", message)


def _unknown_switch(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    given = site.switch.profile if site and site.switch else None
    if given and given not in SWITCHES:
        near = get_close_matches(given, SWITCHES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        message = f"{given[:60]} is not in the catalog; {hint}known: {', '.join(sorted(SWITCHES))}; "
        yield Finding("site.switch.profile", f"{message}or say trust, pfc and ecn yourself")


def _field(landing: LandingPlan) -> str:
    """Where the environment says, or could say, what decides the landing."""
    if landing.decided_by != landing.variable:
        return "site.qos.host_traffic_class"
    name, _, control = landing.runtime.partition(" ")
    return f"site.runtimes.{name}.{'control_' if control else ''}traffic_class"


def _numbers(priorities: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(priorities))) or "none"


def _lossless(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        for landing in landings(site):
            if _told(landing, hosts, switch):
                yield Finding(_field(landing), _dropped(landing, hosts, switch))


def _dropped(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> str:
    at = f"{landing.runtime} has traffic class {landing.traffic_class} ({landing.decided_by}), DSCP {landing.dscp}"
    if hosts.trust != "dscp":
        return f"{at}, but hosts trust the VLAN tag, which routed RoCE has not; set site.qos.trust to dscp"
    if not landing.paused_by_host:
        right = f"take {hosts.traffic_class}" if _own_is_paused(hosts) else f"add {landing.priority} to site.qos.pfc"
        paused = _numbers(hosts.pfc)
        return f"{at}, lands on priority {landing.priority}, but hosts pause {paused} only, so that it drops; {right}"
    if switch and not landing.same_priority:
        here = f"priority {landing.priority} on hosts, but {landing.switch_priority} on the switch"
        if switch.trust != "dscp":
            return f"{at} is {here}, which does not look at the DSCP; set site.switch.trust to dscp, there and here"
        return f"{at} is {here}; map DSCP {landing.dscp} to {landing.priority} on the switch"
    paused = _numbers(switch.pfc) if switch else ""
    return (
        f"{at}, lands on priority {landing.priority}, but the switch pauses {paused} only, so that it drops; "
        f"turn PFC on for priority {landing.priority} on the switch, and add it to site.switch.pfc"
    )


def _lossy_on_purpose(hosts: HostQueues, switch: SwitchQueues | None) -> bool:
    return not hosts.pfc and (switch is None or not switch.pfc)


def _own_is_paused(hosts: HostQueues) -> bool:
    return hosts.priority(hosts.dscp) in hosts.pfc


def _lossy(subject: Subject) -> Iterable[Finding]:
    for _, hosts, switch in _ends(subject):
        if _lossy_on_purpose(hosts, switch):
            message = "no priority is paused, so that RoCE drops packets when queues are full and sends them again"
            own = hosts.priority(hosts.dscp)
            yield Finding(
                "site.qos.pfc", f"{message}; turn PFC on for priority {own} on hosts and switches: pfc [{own}]"
            )


def _disagree(subject: Subject) -> Iterable[Finding]:
    for site, hosts, _ in _ends(subject):
        data = [landing for landing in landings(site) if landing.runtime != "nccl control"]
        planned = hosts.priority(hosts.dscp)
        if len({landing.priority for landing in data}) < 2:
            continue
        for odd in (landing for landing in data if landing.priority != planned):
            message = f"{odd.runtime} lands on priority {odd.priority}, and others on {_others(odd, data)}"
            fix = f"give all traffic class {hosts.traffic_class}, or keep queues for each on purpose"
            yield Finding(_field(odd), f"{message}, so that they do not share what is kept for RoCE; {fix}")


def _others(odd: LandingPlan, data: Iterable[LandingPlan]) -> str:
    return _numbers({landing.priority for landing in data} - {odd.priority})


def _differ(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        if switch is None:
            continue
        if hosts.trust != switch.trust:
            message = f"the switch trusts {switch.trust}, hosts trust {hosts.trust}; set both to dscp"
            yield Finding("site.switch.trust", message)
        if hosts.pfc != switch.pfc:
            message = f"the switch pauses {_numbers(switch.pfc)}, hosts pause {_numbers(hosts.pfc)}"
            yield Finding("site.switch.pfc", f"{message}; pause {_numbers(hosts.pfc)} on both")
        for dscp in sorted({landing.dscp for landing in landings(site)} | {hosts.dscp}):
            one, other = hosts.priority(dscp), switch.priority(dscp)
            if one != other and hosts.trust == switch.trust:
                message = f"DSCP {dscp} is priority {other} on the switch and {one} on hosts; map it to {one} on both"
                yield Finding("site.switch.dscp_to_priority", message)


def _unmarked(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        for landing in landings(site):
            if _told(landing, hosts, switch):
                continue
            if not landing.ecn_capable:
                better = landing.dscp << 2 | ECN_CAPABLE
                message = (
                    f"{landing.runtime} has traffic class {landing.traffic_class}, whose last two bits say that it"
                )
                yield Finding(_field(landing), f"{message} cannot be marked and slowed down; take {better}")
            for path, marked, priority in _markers(landing, hosts, switch):
                if priority not in marked:
                    message = f"{landing.runtime} lands on priority {priority}, but congestion is marked for"
                    yield Finding(path, f"{message} {_numbers(marked)} only; add {priority}")


def _markers(
    landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None
) -> Iterator[tuple[str, frozenset[int], int]]:
    """(field, priorities that are marked, priority of the landing) of each end."""
    yield "site.qos.ecn", hosts.ecn, landing.priority
    if switch and landing.switch_priority is not None:
        yield "site.switch.ecn", switch.ecn, landing.switch_priority


def _told(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> bool:
    """True where traffic-not-lossless has told of it, so that the rest follows from that."""
    return not landing.lossless and not _lossy_on_purpose(hosts, switch)


def _cnp(subject: Subject) -> Iterable[Finding]:
    for _, hosts, switch in _ends(subject):
        path, priority = "site.qos.cnp_priority", hosts.cnp_priority
        if priority in hosts.pfc:
            message = f"got {priority}, which is paused: a congestion notification would wait for the congestion"
            yield Finding(path, f"{message}; take a priority that is not, e.g. {_unpaused(hosts)}")
        mapped = hosts.priority(hosts.cnp_dscp)
        if hosts.trust == "dscp" and mapped != priority:
            message = f"got {hosts.cnp_dscp}, which is priority {mapped}, but site.qos.cnp_priority is {priority}"
            yield Finding("site.qos.cnp_dscp", f"{message}; take {priority << 3} or map it to {priority}")
        if switch and switch.cnp_priority not in (None, priority):
            message = (
                f"hosts send notifications in priority {priority}, the switch keeps {switch.cnp_priority} for them"
            )
            yield Finding("site.switch.cnp_priority", f"{message}; set both to the same")


def _unpaused(hosts: HostQueues) -> int:
    return next((priority for priority in (6, 7, 5, 4, 2, 1, 0, 3) if priority not in hosts.pfc), 6)


def _overridden(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        forced = hosts.host_traffic_class
        if forced is None:
            continue
        for landing in landings(site):
            if _told(landing, hosts, switch):
                continue
            if landing.decided_by != landing.variable and landing.asked != forced:
                message = f"{landing.variable}={landing.asked} is not used: the kernel puts {forced} over it"
                fix = f"take {forced} for {landing.runtime}, or leave host_traffic_class out"
                yield Finding("site.qos.host_traffic_class", f"{message}; {fix}")
            if landing.decided_by == landing.variable and landing.traffic_class != forced:
                message = (
                    f"{forced} does not reach {landing.runtime}, which sets up its queue pairs past the kernel and has "
                    f"{landing.variable}={landing.traffic_class}"
                )
                yield Finding("site.qos.host_traffic_class", f"{message}; take {forced} for {landing.runtime}, too")


def _mtu(subject: Subject) -> Iterable[Finding]:
    for site, _, switch in _ends(subject):
        if site.mtu_bytes is None:
            continue
        if switch and switch.mtu_bytes is not None and switch.mtu_bytes < site.mtu_bytes:
            message = f"got {switch.mtu_bytes}, but hosts send packets of up to {site.mtu_bytes} bytes, which it drops"
            yield Finding("site.switch.mtu_bytes", f"{message}; raise it to {site.mtu_bytes} or more")
        least = RDMA_MTU + ROCE_HEADERS
        if site.mtu_bytes < least:
            message = f"got {site.mtu_bytes}, but an RDMA MTU of {RDMA_MTU} needs {least} with its headers"
            yield Finding("site.mtu_bytes", f"{message}, so that RDMA falls back to 2048 or less; take {least} or more")


def _nccl(subject: Subject) -> Iterable[Finding]:
    for name in subject.env.site.nccl_conf if subject.env.site else ():
        path = f"site.nccl_conf.{name[:60]}"
        if name in PLANNED_NCCL:
            yield Finding(path, f"is written by the plan from {PLANNED_NCCL[name]}; set that instead")
        elif name not in NCCL_SYSTEM:
            message = "is not among the variables that NVIDIA documents as system configuration"
            yield Finding(path, f"{message}; set it for one application, while it is examined, or remove it")


def _hcas(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    for name, group in site.groups.items() if site else ():
        path = f"site.groups.{name}"
        if len(group.hcas) > NCCL_HCAS and group.kind == "gpu":
            message = f"{counted(len(group.hcas), 'device')}, but NCCL uses {NCCL_HCAS} at most; list fewer"
            yield Finding(f"{path}.hcas", message)
        for field in ("hcas", "interfaces"):
            listed: tuple[str, ...] = getattr(group, field)
            twice = sorted({item for item in listed if listed.count(item) > 1})
            if twice:
                yield Finding(f"{path}.{field}", f"{', '.join(twice)}: listed twice; list each once")
        if site and site.fabric == "roce" and len(group.interfaces) != len(group.hcas):
            message = (
                f"{counted(len(group.interfaces), 'interface')} for {counted(len(group.hcas), 'RDMA device')}; list "
                "the interface of each device, in the same order, so that each gets its queues"
            )
            yield Finding(f"{path}.interfaces", message)


def _too_slow(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    group = narrowest_group(site) if site else None
    if site is None or group is None:
        return
    needed = fabric_plan(subject.env, site).flows
    total = sum(flow.gbps for flow in needed)
    if not needed:
        return
    if site.fabric == "nvlink":
        message = f"{needed[0].what} needs {total:.2f} Gbit/s between hosts, but there is no network between them"
        yield Finding("site.load", f"{message}; name the fabric that joins them in site.fabric")
        return
    count = links(group)
    carried = count * site.link_gbps * LINE_SHARE
    if total > carried:
        parts = ", ".join(f"{flow.what} {flow.gbps:.2f}" for flow in needed)
        rate = total / count / LINE_SHARE
        message = (
            f"got {site.link_gbps:g}, and {counted(count, 'link')} at {LINE_SHARE:.0%} of it carry {carried:.2f} "
            f"Gbit/s, but a host sends {total:.2f} ({parts}); take {_up(rate)} or more, more links, or less load"
        )
        yield Finding("site.link_gbps", message)


def _load_unused(subject: Subject) -> Iterable[Finding]:
    """Rates of traffic that no replica sends between hosts."""
    site = subject.env.site
    if site is None or site.load == Load():
        return
    sent = {flow.what for flow in fabric_plan(subject.env, site).flows}
    prefill = {flow for flow in sent if flow == PREFILL}
    used = {
        "tokens_per_s": bool(sent - prefill),
        "prompt_tokens_per_s": bool(prefill),
        "expert_hosts": EXPERTS in sent,
    }
    for field, by_default in Load():
        if getattr(site.load, field) != by_default and not used[field]:
            message = "has no effect: replicas send nothing between hosts that depends on it"
            yield Finding(f"site.load.{field}", f"{message}; remove it, or declare a serving layout that does")


def _up(gbps: float) -> str:
    return f"{int(gbps) + (gbps > int(gbps))}"


RULES = (
    Rule(
        id="roce-only-setting",
        severity="error",
        summary="a setting of a RoCE fabric is given for another",
        find=_roce_only,
    ),
    Rule(
        id="rdma-only-setting",
        severity="error",
        summary="a setting of verbs on a fabric without them",
        find=_rdma_only,
    ),
    Rule(
        id="switch-profile-unknown",
        severity="error",
        summary="the catalog has no such switch profile",
        find=_unknown_switch,
    ),
    Rule(
        id="traffic-not-lossless",
        severity="error",
        summary="a runtime's traffic lands on a priority that host or switch does not pause",
        find=_lossless,
    ),
    Rule(
        id="fabric-lossy",
        severity="warning",
        summary="no priority of a RoCE fabric is lossless",
        find=_lossy,
    ),
    Rule(
        id="runtimes-disagree",
        severity="warning",
        summary="two runtimes land on different priorities",
        find=_disagree,
    ),
    Rule(
        id="host-switch-differ",
        severity="error",
        summary="hosts and switches trust, map or pause differently",
        find=_differ,
    ),
    Rule(
        id="congestion-unmarked",
        severity="warning",
        summary="congestion of a runtime's traffic is not marked, so that nothing slows it down",
        find=_unmarked,
    ),
    Rule(
        id="cnp-priority",
        severity="error",
        summary="congestion notifications do not travel in a priority of their own",
        find=_cnp,
    ),
    Rule(
        id="traffic-class-overridden",
        severity="warning",
        summary="a host-wide traffic class wins over a runtime's, or does not reach it",
        find=_overridden,
    ),
    Rule(
        id="mtu-too-small",
        severity="error",
        summary="the switch's or the hosts' MTU is too small for RoCE",
        find=_mtu,
    ),
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
        id="load-unused",
        severity="warning",
        summary="a rate is given of traffic that nothing sends between hosts",
        find=_load_unused,
    ),
    Rule(
        id="fabric-too-slow",
        severity="error",
        summary="the links between hosts do not carry what the layout sends",
        find=_too_slow,
    ),
)
