"""Rules about the fabric: do marks, priorities and queues agree from runtime to switch, and do the links suffice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from fullbore.catalog.runtimes import LINE_SHARE, NCCL_HCAS, NCCL_SYSTEM, RDMA_MTU, ROCE_HEADERS
from fullbore.catalog.switches import SWITCHES
from fullbore.config.fabric import Load, Qos, Runtimes, Switch, Traffic
from fullbore.config.models import Environment, Site
from fullbore.plan.change import Change, apply, put, remove
from fullbore.plan.checks.base import Finding, Rule, Subject, counted
from fullbore.plan.fabric import HostQueues, SwitchQueues, fabric_plan, host_queues, landings, links, narrowest_group
from fullbore.plan.fabric import switch_queues as described_switch
from fullbore.plan.fabric.landing import CONTROL, used_runtimes
from fullbore.plan.fabric.make import RDMA
from fullbore.plan.fabric.need import PREFILL
from fullbore.plan.fabric.queues import ECN_CAPABLE
from fullbore.plan.fit import illegal
from fullbore.plan.model import LandingPlan
from fullbore.plan.pools import layout_of, model_of

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
            yield Finding(f"site.{field}", message, (remove(f"site.{field}"),))
    for path, value in _traffic_classes(site.runtimes):
        if value is not None:
            message = f"got {value}, but packets carry a traffic class on a RoCE fabric only, and it is {site.fabric}"
            yield Finding(path, f"{message}; remove it or correct site.fabric", (remove(path),))


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
    nvshmem = site.runtimes.nvshmem
    given = {
        "nccl.qps_per_connection": site.runtimes.nccl.qps_per_connection is not None,
        "nvshmem.transport": nvshmem is not None and "transport" in nvshmem.model_fields_set,
    }
    for field in (field for field, is_given in given.items() if is_given):
        yield Finding(f"site.runtimes.{field}", message, (remove(f"site.runtimes.{field}"),))


def _unknown_switch(subject: Subject) -> Iterable[Finding]:
    site = subject.env.site
    given = site.switch.profile if site and site.switch else None
    if given and given not in SWITCHES:
        near = get_close_matches(given, SWITCHES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        message = f"{given[:60]} is not in the catalog; {hint}known: {', '.join(sorted(SWITCHES))}; "
        changes = (put("site.switch.profile", near[0]),) if near else ()
        yield Finding("site.switch.profile", f"{message}or say trust, pfc and ecn yourself", changes)


def _field(landing: LandingPlan) -> str:
    """Where the environment says, or could say, what decides the landing."""
    return _own_field(landing) if landing.decided_by == landing.variable else "site.qos.host_traffic_class"


def _own_field(landing: LandingPlan) -> str:
    """The runtime's own traffic class."""
    name, _, control = landing.runtime.partition(" ")
    return f"site.runtimes.{name}.{'control_' if control else ''}traffic_class"


def _numbers(priorities: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(priorities))) or "none"


def _lossless(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        for landing in landings(site):
            if _told(landing, hosts, switch) and not _own_queue(landing, hosts):
                message, step = _dropped(landing, hosts, switch)
                yield Finding(_field(landing), message, (step,))


def _own_queue(landing: LandingPlan, hosts: HostQueues) -> bool:
    """True for control messages that were put beside the data on purpose (NVIDIA/nccl#1194)."""
    return landing.runtime == CONTROL and hosts.trust == "dscp" and landing.priority != hosts.priority(hosts.dscp)


def _control(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        for landing in landings(site):
            if not _own_queue(landing, hosts) or not _told(landing, hosts, switch) or not landing.same_priority:
                continue
            own = landing.priority
            ends = [("site.qos.pfc", hosts.pfc)] + ([("site.switch.pfc", switch.pfc)] if switch else [])
            paused = (put(path, sorted({*pfc, own})) for path, pfc in ends if own not in pfc)
            # What is paused has to be marked, too: congestion-unmarked left this landing to this rule.
            steps = (*paused, *(step for mark in _marks(landing, hosts, switch) for step in mark.changes))
            message = (
                f"control messages of NCCL land on priority {own}, away from its data and not paused, so that one that "
                f"drops is waited for; {' and '.join(map(str, steps))}, or keep that queue nearly empty"
            )
            yield Finding(_field(landing), message, steps)


def _dropped(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> tuple[str, Change]:
    """Why the traffic drops, and the next step out of it."""
    at = f"{landing.runtime} has traffic class {landing.traffic_class} ({landing.decided_by}), DSCP {landing.dscp}"
    if hosts.trust != "dscp":
        step = put("site.qos.trust", "dscp")
        return f"{at}, but hosts trust the VLAN tag, which routed RoCE has not; {step}", step
    if not landing.paused_by_host:
        step = put("site.qos.pfc", sorted({*hosts.pfc, landing.priority}))
        right = f"add {landing.priority} to site.qos.pfc"
        if _own_is_paused(hosts):
            step, right = put(_field(landing), hosts.traffic_class), f"take {hosts.traffic_class}"
        paused = _numbers(hosts.pfc)
        lands = f"{at}, lands on priority {landing.priority}, but hosts pause {paused} only, so that it drops"
        return f"{lands}; {right}", step
    if switch and not landing.same_priority:
        here = f"priority {landing.priority} on hosts, but {landing.switch_priority} on the switch"
        if switch.trust != "dscp":
            step = put("site.switch.trust", "dscp")
            return f"{at} is {here}, which does not look at the DSCP; {step}, there and here", step
        step = _mapped(switch, landing.dscp, landing.priority)
        return f"{at} is {here}; map DSCP {landing.dscp} to {landing.priority} on the switch", step
    pfc = switch.pfc if switch else frozenset[int]()
    message = (
        f"{at}, lands on priority {landing.priority}, but the switch pauses {_numbers(pfc)} only, so that it drops; "
        f"turn PFC on for priority {landing.priority} on the switch, and add it to site.switch.pfc"
    )
    return message, put("site.switch.pfc", sorted({*pfc, landing.priority}))


def _mapped(switch: SwitchQueues, dscp: int, priority: int) -> Change:
    """The switch's map with one entry more."""
    entries = {**switch.dscp_to_priority, dscp: priority}
    return put("site.switch.dscp_to_priority", [{"dscp": key, "priority": entries[key]} for key in sorted(entries)])


def _lossy_on_purpose(hosts: HostQueues, switch: SwitchQueues | None) -> bool:
    return not hosts.pfc and (switch is None or not switch.pfc)


def _own_is_paused(hosts: HostQueues) -> bool:
    return hosts.priority(hosts.dscp) in hosts.pfc


def _lossy(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        if _lossy_on_purpose(hosts, switch):
            message = "no priority is paused, so that RoCE drops packets when queues are full and sends them again"
            own = hosts.priority(hosts.dscp)
            fix = f"turn PFC on for priority {own} on hosts and switches: pfc [{own}]"
            both = ("site.qos.pfc", "site.switch.pfc") if site.switch else ("site.qos.pfc",)
            yield Finding("site.qos.pfc", f"{message}; {fix}", tuple(put(path, [own]) for path in both))


def _disagree(subject: Subject) -> Iterable[Finding]:
    for site, hosts, _ in _ends(subject):
        data = [landing for landing in landings(site) if landing.runtime != CONTROL]
        planned = hosts.priority(hosts.dscp)
        if len({landing.priority for landing in data}) < 2:
            continue
        for odd in (landing for landing in data if landing.priority != planned):
            message = f"{odd.runtime} lands on priority {odd.priority}, and others on {_others(odd, data)}"
            fix = f"give all traffic class {hosts.traffic_class}, or keep queues for each on purpose"
            step = put(_field(odd), hosts.traffic_class)
            yield Finding(_field(odd), f"{message}, so that they do not share what is kept for RoCE; {fix}", (step,))


def _others(odd: LandingPlan, data: Iterable[LandingPlan]) -> str:
    return _numbers({landing.priority for landing in data} - {odd.priority})


def _differ(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        if switch is None:
            continue
        if hosts.trust != switch.trust:
            message = f"the switch trusts {switch.trust}, hosts trust {hosts.trust}; set both to dscp"
            both = (put("site.qos.trust", "dscp"), put("site.switch.trust", "dscp"))
            yield Finding("site.switch.trust", message, both)
        if hosts.pfc != switch.pfc:
            message = f"the switch pauses {_numbers(switch.pfc)}, hosts pause {_numbers(hosts.pfc)}"
            step = put("site.switch.pfc", sorted(hosts.pfc))
            yield Finding("site.switch.pfc", f"{message}; pause {_numbers(hosts.pfc)} on both", (step,))
        for dscp in sorted({landing.dscp for landing in landings(site)} | {hosts.dscp, hosts.cnp_dscp}):
            one, other = hosts.priority(dscp), switch.priority(dscp)
            if one != other and hosts.trust == switch.trust:
                message = f"DSCP {dscp} is priority {other} on the switch and {one} on hosts; map it to {one} on both"
                yield Finding("site.switch.dscp_to_priority", message, (_mapped(switch, dscp, one),))


def _idle(subject: Subject) -> Iterable[Finding]:
    """Each lossless priority keeps headroom of its own at every port (Guo and others, "RDMA over commodity Ethernet at
    scale", SIGCOMM 2016, section 2). What another rule tells of is left to that."""
    for site, hosts, switch in _ends(subject):
        found = landings(site)
        used = {landing.priority for landing in found}
        idle = hosts.pfc - used - {hosts.cnp_priority}
        if idle and hosts.trust == "dscp" and all(landing.paused_by_host for landing in found):
            kept = sorted(hosts.pfc - idle)
            ends = ("site.qos.pfc", "site.switch.pfc") if switch and switch.pfc == hosts.pfc else ("site.qos.pfc",)
            message = (
                f"got {_numbers(hosts.pfc)}, but no runtime lands on {_numbers(idle)}: a paused priority takes buffer "
                f"of every port, and what else lands there can stop it; pause {_numbers(kept)}, unless something that "
                "is not described here needs the others"
            )
            yield Finding("site.qos.pfc", message, tuple(put(path, kept) for path in ends))


def _unmarked(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        for landing in landings(site):
            if not _told(landing, hosts, switch):
                yield from _marks(landing, hosts, switch)


def _marks(landing: LandingPlan, hosts: HostQueues, switch: SwitchQueues | None) -> Iterator[Finding]:
    """Why the landing's congestion is not marked."""
    if not landing.ecn_capable:
        better = landing.dscp << 2 | ECN_CAPABLE
        message = f"{landing.runtime} has traffic class {landing.traffic_class}, whose last two bits say that it"
        fix = f"cannot be marked and slowed down; take {better}"
        yield Finding(_field(landing), f"{message} {fix}", (put(_field(landing), better),))
    for path, marked, priority in _markers(landing, hosts, switch):
        if priority not in marked:
            message = f"{landing.runtime} lands on priority {priority}, but congestion is marked for"
            step = put(path, sorted({*marked, priority}))
            yield Finding(path, f"{message} {_numbers(marked)} only; add {priority}", (step,))


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
    for site, hosts, switch in _ends(subject):
        path, priority = "site.qos.cnp_priority", hosts.cnp_priority
        data = _data_priorities(site, hosts)
        other = _free({*hosts.pfc, *data})
        if priority in hosts.pfc:
            message = f"got {priority}, which is paused: a congestion notification would wait for the congestion"
            yield Finding(path, f"{message}; take a priority that is not, e.g. {other}", (put(path, other),))
        elif priority in data:
            message = f"got {priority}, on which {data[priority]} lands: a notification would wait behind its data"
            yield Finding(path, f"{message}; take a priority of its own, e.g. {other}", (put(path, other),))
        mapped = hosts.priority(hosts.cnp_dscp)
        if hosts.trust == "dscp" and mapped != priority:
            message = f"got {hosts.cnp_dscp}, which is priority {mapped}, but site.qos.cnp_priority is {priority}"
            step = put("site.qos.cnp_dscp", priority << 3)
            yield Finding("site.qos.cnp_dscp", f"{message}; take {priority << 3} or map it to {priority}", (step,))
        if switch and switch.cnp_priority not in (None, priority):
            message = (
                f"hosts send notifications in priority {priority}, the switch keeps {switch.cnp_priority} for them"
            )
            step = put("site.switch.cnp_priority", priority)
            yield Finding("site.switch.cnp_priority", f"{message}; set both to the same", (step,))


def _data_priorities(site: Site, hosts: HostQueues) -> dict[int, str]:
    """{priority: runtime whose data lands on it}; none where a VLAN tag is trusted: all is in one priority then."""
    data = (landing for landing in landings(site) if landing.runtime != CONTROL)
    return {landing.priority: landing.runtime for landing in data} if hosts.trust == "dscp" else {}


def _free(taken: Collection[int]) -> int:
    """A priority for notifications: 6, as most switches keep it, else another that is free."""
    return next((priority for priority in (6, 7, 5, 4, 2, 1, 0, 3) if priority not in taken), 6)


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
                step = put(_own_field(landing), forced)
                yield Finding("site.qos.host_traffic_class", f"{message}; {fix}", (step,))
            if landing.decided_by == landing.variable and landing.traffic_class != forced:
                message = (
                    f"{forced} does not reach {landing.runtime}, which sets up its queue pairs past the kernel and has "
                    f"{landing.variable}={landing.traffic_class}"
                )
                fix = f"take {forced} for {landing.runtime}, too"
                step = put(_own_field(landing), forced)
                yield Finding("site.qos.host_traffic_class", f"{message}; {fix}", (step,))


def _mtu(subject: Subject) -> Iterable[Finding]:
    for site, _, switch in _ends(subject):
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
            fix = f"so that RDMA falls back to 2048 or less; take {least} or more"
            yield Finding("site.mtu_bytes", f"{message}, {fix}", (put("site.mtu_bytes", least),))


def _described(subject: Subject) -> Iterable[Finding]:
    for site, hosts, switch in _ends(subject):
        used = any(group.hcas for group in site.groups.values())
        if switch is None and used and hosts.pfc and not subject.env.sandbox:
            message = "switches are not described, and are taken to trust, map, pause and mark as the hosts do"
            yield Finding("site.switch", f"{message}; name a profile, or say what its ports hold")


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
        yield Finding("site.link_gbps", message, (put("site.link_gbps", int(_up(rate))),))


def _load_unused(subject: Subject) -> Iterable[Finding]:
    """Rates of traffic that no replica sends between hosts."""
    site = subject.env.site
    if site is None or site.load == Load() or _misdescribed(subject.env):
        return
    sent = {flow.what for flow in fabric_plan(subject.env, site).flows}
    prefill = {flow for flow in sent if flow == PREFILL}
    used = {
        "tokens_per_s": bool(sent - prefill),
        "prompt_tokens_per_s": bool(prefill),
    }
    for field, by_default in Load():
        if getattr(site.load, field) != by_default and not used[field]:
            message = "has no effect: replicas send nothing between hosts that depends on it"
            fix = (remove(f"site.load.{field}"),)
            yield Finding(f"site.load.{field}", f"{message}; remove it, or declare a serving layout that does", fix)


def _misdescribed(env: Environment) -> bool:
    """True where the model or its layout is wrong, which other rules tell of, so that what it sends is not known."""
    model, layout = model_of(env.serving), layout_of(env)
    return env.serving is not None and (model is None or layout is None or bool(illegal(model, layout)))


def _to_the_end(find: Callable[[Subject], Iterable[Finding]]) -> Callable[[Subject], Iterator[Finding]]:
    """The rule's findings, each with every step until the rule finds nothing: after one step comes the next."""

    def found(subject: Subject) -> Iterator[Finding]:
        findings = list(find(subject))
        steps = tuple(_steps(find, subject)) if findings else ()
        yield from (finding._replace(changes=steps) for finding in findings)

    return found


def _steps(find: Callable[[Subject], Iterable[Finding]], subject: Subject) -> list[Change]:
    """What the findings say, done and asked again; nothing where that does not end."""
    made: list[Change] = []
    for _ in range(MOST_ROUNDS):
        steps = [change for finding in find(subject) for change in finding.changes]
        if not steps:
            return made
        made += steps
        subject = _after(subject, steps)
    return []


MOST_ROUNDS = 6


def _after(subject: Subject, steps: Iterable[Change]) -> Subject:
    """The subject with changes made to what its site says of marks and queues."""
    site = subject.env.site
    if site is None:
        return subject
    given: dict[str, Qos | Switch | Runtimes | None] = {name: getattr(site, name) for name in _SECTIONS}
    document = {name: section.model_dump(exclude_unset=True) if section else {} for name, section in given.items()}
    changed = apply({"site": {**document, "mtu_bytes": site.mtu_bytes}}, *steps)["site"]
    sections = {name: kind.model_validate(changed[name]) for name, kind in _SECTIONS.items() if given[name]}
    after = site.model_copy(update={**sections, "mtu_bytes": changed["mtu_bytes"]})
    return Subject(subject.env.model_copy(update={"site": after}), subject.endpoints)


_SECTIONS: Mapping[str, type[Qos | Switch | Runtimes]] = {"qos": Qos, "switch": Switch, "runtimes": Runtimes}


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
        find=_to_the_end(_lossless),
    ),
    Rule(
        id="control-not-lossless",
        severity="warning",
        summary="NCCL's control messages have a priority of their own, which is not paused",
        find=_control,
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
        find=_to_the_end(_disagree),
    ),
    Rule(
        id="host-switch-differ",
        severity="error",
        summary="hosts and switches trust, map or pause differently",
        find=_to_the_end(_differ),
    ),
    Rule(
        id="pause-unused",
        severity="info",
        summary="a priority is paused that no runtime's traffic lands on",
        find=_idle,
    ),
    Rule(
        id="congestion-unmarked",
        severity="warning",
        summary="congestion of a runtime's traffic is not marked, so that nothing slows it down",
        find=_to_the_end(_unmarked),
    ),
    Rule(
        id="cnp-priority",
        severity="error",
        summary="congestion notifications do not travel in a priority of their own",
        find=_to_the_end(_cnp),
    ),
    Rule(
        id="switch-undescribed",
        severity="info",
        summary="nothing says what the switches of a lossless fabric do",
        find=_described,
    ),
    Rule(
        id="traffic-class-overridden",
        severity="warning",
        summary="a host-wide traffic class wins over a runtime's, or does not reach it",
        find=_to_the_end(_overridden),
    ),
    Rule(
        id="mtu-too-small",
        severity="error",
        summary="the switch's or the hosts' MTU is too small for RoCE",
        find=_to_the_end(_mtu),
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
        id="devices-unnamed",
        severity="warning",
        summary="runtimes use RDMA, but a group of GPUs lists no devices",
        find=_unnamed,
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
